"""The life of the connection to the broker: dial, come up, end, wait, dial again.

Owns the back-off and the choice of the protocol version. Knows nothing of records; the agent's sender
and the receiver both stand on it. Used by one thread, and never blocks but in `wait`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.model import NS, MonoNs
from edge_agent.uplink.connection.backoff import Backoff, BackoffPolicy
from edge_agent.uplink.connection.dial import Dialer
from edge_agent.uplink.connection.mqtt import Connection, wait_for
from edge_agent.uplink.connection.wire import (
    ConnectOptions,
    Down,
    Event,
    Message,
    MqttVersion,
    Published,
    Received,
    Traffic,
    Up,
)
from edge_agent.uplink.reasons import Cause, Failure

log = logging.getLogger(__name__)

CONNECTS = declare("uplink_connects", "connections to the broker that were accepted")
FAILURES = declare("uplink_failures", "connections that failed or ended, by cause", "cause")
_FLAPPING = Failure(
    Cause.FLAPPING,
    "the broker accepts and soon closes the connection, again and again",
    "two agents with one site and id? each needs an id of its own; else the broker's log says why",
)


def versions(protocol: str) -> tuple[MqttVersion, bool]:
    """The version to begin with, and whether the other may follow: for `auto`, `5` or `3.1.1`."""
    return (MqttVersion.V311 if protocol == "3.1.1" else MqttVersion.V5), protocol == "auto"


class Link:
    """Keeps one `Connection` alive, or the time of the next attempt."""

    def __init__(
        self,
        options: ConnectOptions,
        *,
        auto_version: bool,
        clock: Clock,
        counters: Counters,
        policy: BackoffPolicy | None = None,
        random: Random | None = None,
        will: Callable[[], Message] | None = None,
    ) -> None:
        self.options = options
        self._first_version = options.protocol
        self._auto_version = auto_version
        self._said_version = False
        self._will = will
        self._clock = clock
        self._counters = counters
        self._backoff = Backoff(policy or BackoffPolicy(), random or Random())
        self._dialer = Dialer(clock)
        self._connection: Connection | None = None
        self._flying = self._receive_maximum = 0
        self._retry_at = self._since = clock.mono_ns()
        self._state = "waiting"
        self._failure: Failure | None = None

    @property
    def is_up(self) -> bool:
        return self._connection is not None and self._connection.is_up

    @property
    def room(self) -> int:
        """How many more may be published before the broker answers one (MQTT 5.0, 3.2.2.3.3)."""
        return max(0, self._receive_maximum - self._flying) if self.is_up else 0

    @property
    def traffic(self) -> Traffic:
        """What has moved on this connection; begins again with each."""
        return self._connection.traffic if self._connection is not None else Traffic()

    @property
    def wake_at(self) -> MonoNs | None:
        """When to dial again; None while there is a connection or an attempt."""
        return self._retry_at if self._connection is None else None

    def turn(self) -> list[Event]:
        """Dial if it is time, do what can be done without waiting, and say what happened."""
        if self._connection is None:
            if self._clock.mono_ns() < self._retry_at:
                return []
            self._dial()
        assert self._connection is not None
        events = self._connection.turn()
        for event in events:
            if isinstance(event, Up):
                self._on_up(event)
            elif isinstance(event, Published):
                self._flying = max(0, self._flying - 1)
            elif isinstance(event, Down):
                self._on_down(event.failure)
        return events

    def wait(self, timeout_s: float, wake_fd: int | None = None) -> None:
        """Sleep until something arrives, `wake_fd` is readable, or the time is over."""
        if self._connection is not None:
            self._connection.wait(timeout_s, wake_fd)
        else:
            wait_for((), wake_fd, timeout_s)

    def publish(self, message: Message) -> int | None:
        """The token its `Published` will carry; None while there is no connection."""
        token = self._connection.publish(message) if self._connection is not None else None
        self._flying += token is not None
        return token

    def subscribe(self, filters: tuple[str, ...], *, see_retained: bool = False) -> None:
        if self._connection is not None:
            self._connection.subscribe(filters, see_retained=see_retained)

    def acknowledge(self, received: Received) -> None:
        if self._connection is not None:
            self._connection.acknowledge(received)

    def abort(self, failure: Failure) -> None:
        """Give the connection up; the next `turn` reports it as down."""
        if self._connection is not None:
            self._connection.abort(failure)

    def close(self) -> None:
        """Say goodbye and stay down."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._set_state("stopped")

    def snapshot(self) -> dict[str, Any]:
        """For the status, from any thread: every value is read once."""
        now, failure, connection = self._clock.mono_ns(), self._failure, self._connection
        return {
            "broker": str(self.options.address),
            "state": self._state,
            "since_s": round((now - self._since) / NS, 1),
            "protocol": self.options.protocol.label,
            "client_id": self.options.client_id,
            "error": failure.message if failure else "",
            "cause": str(failure.cause) if failure else "",
            "hint": failure.hint if failure else "",
            "retry_in_s": None if connection else round(max(0, self._retry_at - now) / NS, 1),
            "failures": self._backoff.failures,
        }

    # --- inside -------------------------------------------------------------------------------

    def _dial(self) -> None:
        options = replace(self.options, will=self._will()) if self._will else self.options
        self._set_state("connecting")
        self._connection = Connection(options, self._dialer, self._clock, self._counters)

    def _on_up(self, up: Up) -> None:
        self._flying, self._receive_maximum = 0, up.receive_maximum
        self._counters.get(CONNECTS).add()
        self._failure = None
        self._set_state("connected")
        log.info("connected to %s, MQTT %s", self.options.address, self.options.protocol.label)

    def _on_down(self, failure: Failure) -> None:
        now, up_since = self._clock.mono_ns(), self._since if self._state == "connected" else None
        self._connection = None
        self._set_state("waiting")
        if failure.cause is Cause.ALIAS:
            self.options = replace(self.options, topic_aliases=0)
        if self._change_version(failure.cause):
            delay_ns = 0
        elif up_since is None:
            delay_ns = self._backoff.failed(failure.cause)
        else:
            delay_ns = self._backoff.lost(failure.cause, up_since, now)
        self._retry_at = MonoNs(now + delay_ns)
        self._failure = failure = _FLAPPING if self._backoff.is_flapping else failure
        self._counters.get(FAILURES, str(failure.cause)).add()
        # The first of a series is worth a warning; all of them would fill a log over a weekend.
        level = logging.WARNING if self._backoff.failures <= 1 or up_since else logging.INFO
        log.log(level, "%s: %s; next try in %.1f s", self.options.address, failure, delay_ns / NS)

    def _change_version(self, cause: Cause) -> bool:
        """True when 3.1.1 is to be tried at once.

        Only an explicit refusal of the version leads there: a timeout says nothing about versions, and
        3.1.1 cannot report a refused publish. For that reason too it holds for one connection only; the
        next one asks for MQTT 5 again, which costs a refusal but ends with the old broker.
        """
        falls_back = (
            self._auto_version
            and cause is Cause.PROTOCOL_VERSION
            and self.options.protocol is self._first_version
        )
        version = MqttVersion.V311 if falls_back else self._first_version
        self.options = replace(self.options, protocol=version)
        if falls_back and not self._said_version:
            self._said_version = True
            words = "%s does not speak MQTT 5; going on with 3.1.1, which cannot report refused records"
            log.warning(words, self.options.address)
        return falls_back

    def _set_state(self, state: str) -> None:
        self._state, self._since = state, self._clock.mono_ns()
