"""The address of a TCP bus, found without hanging where the system's resolver hangs.

It may do so for half a minute and more on a dead name server and cannot be interrupted; so it works in
a thread of its own, which nobody waits for longer than the bound. At most one such thread per bus: an
attempt finds the one before it still at work and waits for that.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from edge_agent.bus.line import SLICE_NS, Stopped
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import NS, TcpLink

Address = tuple[socket.AddressFamily, Any]

_BOUND_NS = 5 * NS


class Resolver:
    """Of one link. Not for two threads."""

    def __init__(self, link: TcpLink, clock: Clock, stopped: Stopped) -> None:
        self._link = link
        self._clock = clock
        self._stopped = stopped
        self._at_work: _LookUp | None = None

    def address(self) -> Address:
        """Within a few seconds. Raises PortError."""
        look_up = self._at_work or _LookUp(self._link)
        self._at_work = None
        if _is_numeric(self._link.host):
            look_up.run()
        elif not self._wait(look_up):
            self._at_work = look_up
            raise self._unknown("the name server does not answer")
        if look_up.found is None:
            raise self._unknown(look_up.failed)
        return look_up.found

    def _wait(self, look_up: _LookUp) -> bool:
        """Whether it came to an end in time."""
        if look_up.ident is None:
            try:
                look_up.start()
            except RuntimeError as error:
                raise self._unknown(str(error)) from error  # No thread can be made just now.
        give_up = self._clock.mono_ns() + _BOUND_NS
        while look_up.is_alive() and self._clock.mono_ns() < give_up and not self._stopped():
            look_up.join(SLICE_NS / NS)
        return not look_up.is_alive()

    def _unknown(self, text: str) -> PortError:
        return PortError(
            f"{self._link.host}:{self._link.port}: unknown host: {text}",
            reason="missing",
            hint="check the name, or use the numeric address",
        )


class _LookUp(threading.Thread):
    def __init__(self, link: TcpLink) -> None:
        super().__init__(name="resolve", daemon=True)
        self._link = link
        self.found: Address | None = None
        self.failed = ""

    def run(self) -> None:
        try:
            first = socket.getaddrinfo(self._link.host, self._link.port, type=socket.SOCK_STREAM)[0]
            self.found = first[0], first[4]
        except (OSError, UnicodeError) as error:
            self.failed = getattr(error, "strerror", None) or str(error)


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False
