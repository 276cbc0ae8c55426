"""Threads of the daemon: started by name, guarded, joined within a bound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.daemon.supervisor import Watched
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS

log = logging.getLogger(__name__)

THREAD_CRASHES = declare("thread_crashes", "threads that ended by an error nobody expected", "thread")


class Worker:
    """One thread with its own stop event. `body(stop)` returns after `stop` is set."""

    def __init__(
        self,
        name: str,
        body: Callable[[threading.Event], Any],
        heartbeat: Heartbeat,
        counters: Counters,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.failed = False
        self._body = body
        self._wake = wake
        self._stop = threading.Event()
        self._crashes = counters.get(THREAD_CRASHES, name)
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)
        self.watched = Watched(heartbeat, self._thread)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stop.set()
        if self._wake is not None:
            self._wake()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end and wait; False when it is still there after `timeout_s`."""
        self.ask_to_stop()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("%s does not end (%s)", self.name, self.watched.heartbeat.inside)
            return False
        return True

    def _guarded(self) -> None:
        try:
            self._body(self._stop)
        except Exception:
            # The one place that may catch everything: the agent ends in order, and is started again.
            self.failed = True
            self._crashes.add()
            log.exception("%s has failed", self.name)


def stop_together(workers: Sequence[Worker], timeout_s: float, clock: Clock) -> bool:
    """Stop many threads in the time of one; False when one is still there after `timeout_s`."""
    for worker in workers:
        worker.ask_to_stop()
    end = clock.mono_ns() + int(timeout_s * NS)
    ended = [worker.stop(max(0.0, (end - clock.mono_ns()) / NS)) for worker in workers]
    return all(ended)
