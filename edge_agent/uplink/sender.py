"""The uplink's thread: turns the link, the feed and the session, and ends in order.

Other threads call only `wake`, `alarm_changed` and `snapshot`; everything else belongs to the thread
that runs `run`. The agent works without a broker: nothing here stops anything else, and what cannot
be sent stays in the outbox.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from threading import Event
from typing import Any

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs, Site
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink import address
from edge_agent.uplink.address import Login
from edge_agent.uplink.backoff import BackoffPolicy
from edge_agent.uplink.feed import Feed
from edge_agent.uplink.link import Link, versions
from edge_agent.uplink.outbox import Outbox
from edge_agent.uplink.reasons import Cause, Failure
from edge_agent.uplink.session import Limits, Session, State
from edge_agent.uplink.topics import Topics, client_id
from edge_agent.uplink.wire import ConnectOptions, Down, Published, Received, Up
from edge_agent.uplink.wire import Event as LinkEvent

IGNORED = declare("uplink_ignored_messages", "messages from the broker that nothing here acts on")

_SPOOL_BOUND_NS = 60 * NS
"""Reading the spool can take as long as a failing disk does."""
_WAITING_EVERY_NS = NS
_NO_ACK = Failure(Cause.NO_ACK, "the broker does not acknowledge", "half-open link, or broker overloaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tests shorten. The defaults are those of a gateway in the field."""

    limits: Limits = field(default_factory=Limits)
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    poll_s: float = 0.5
    """Longest sleep of the loop: how late a `stop` without `wake` is noticed."""
    dial_timeout_ns: int = 20 * NS
    connack_timeout_ns: int = 10 * NS
    drain_ns: int = NS
    """At the end: how long what is live may still be sent and answered."""
    goodbye_ns: int = NS // 2
    """At the end: how long the answer to the last status is waited for."""
    health_ns: int = 60 * NS
    """Between two health messages; the first comes a tenth of it after connecting."""


class Sender:
    """`outbox`, `alarm_states` (at each connect) and `health` are called by the uplink thread."""

    def __init__(
        self,
        site: Site,
        outbox: Outbox,
        clock: Clock,
        counters: Counters,
        alarm_states: Callable[[], Sequence[AlarmTransition]] = tuple,
        health: Callable[[], Mapping[str, Any]] | None = None,
        *,
        tuning: Tuning | None = None,
        random: Random | None = None,
    ) -> None:
        self._tuning = tuning = tuning or Tuning()
        topics = Topics(site.site, site.agent)
        limits = replace(tuning.limits, backlog_rate=site.uplink.backlog_rate)
        self._session = Session(topics, limits)
        self._feed = Feed(topics, self._session, outbox, alarm_states, clock, counters)
        options, auto_version = connect_options(site, tuning)
        self._link = Link(
            options,
            auto_version=auto_version,
            clock=clock,
            counters=counters,
            policy=tuning.backoff,
            random=random,
            will=lambda: self._feed.status("offline", "connection lost"),
        )
        self._outbox = outbox
        self._health = health
        self._health_at = MonoNs(0)
        self._clock = clock
        self._ignored = counters.get(IGNORED)
        self._progress = 0
        self._waiting: Mapping[str, int] = {}
        self._waiting_at = MonoNs(0)
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.heartbeat = Heartbeat("uplink", clock)

    # --- for other threads ----------------------------------------------------------------------

    def wake(self) -> None:
        """Something was appended to the outbox, or `stop` was set."""
        os.eventfd_write(self._wake_fd, 1)

    def alarm_changed(self, transition: AlarmTransition) -> None:
        """Mirror this state to its retained topic."""
        self._feed.alarm_changed(transition)
        self.wake()

    def snapshot(self) -> dict[str, Any]:
        """For the status: what the connection is doing, since when, why not, and what waits."""
        waiting = self._waiting
        return {
            **self._link.snapshot(),
            "in_flight": self._session.in_flight,
            "window": self._session.window,
            "waiting": waiting,
            "backlog": sum(waiting.values()),
        }

    # --- the thread -----------------------------------------------------------------------------

    def run(self, stop: Event) -> None:
        """Thread body: until `stop`, then an orderly end within `drain_ns` + `goodbye_ns`."""
        try:
            while not stop.is_set():
                self._turn()
                self._sleep(self._tuning.poll_s)
            self._finish()
        finally:
            self._link.close()

    def _turn(self) -> None:
        self.heartbeat.turn()
        for event in self._link.turn():
            self._handle(event)
        now = self._clock.mono_ns()
        if self._session.state is not State.DOWN:
            self._watch(now)
            self._say_health(now)
            with self.heartbeat.call("spool: read", _SPOOL_BOUND_NS):
                self._feed.publish(self._link)
        if now - self._waiting_at >= _WAITING_EVERY_NS:
            self._waiting_at = now
            self._waiting = dict(self._outbox.waiting())

    def _handle(self, event: LinkEvent) -> None:
        match event:
            case Up():
                self._progress = 0
                self._health_at = MonoNs(self._clock.mono_ns() + self._tuning.health_ns // 10)
                with self.heartbeat.call("spool: what waits", _SPOOL_BOUND_NS):
                    self._feed.connected(event)
            case Down(failure):
                self._feed.disconnected(failure.cause)
            case Published(mid, code):
                self._feed.answered(mid, code)
            case Received():
                self._ignored.add()

    def _watch(self, now: MonoNs) -> None:
        """A slow link moves bytes; one that moves nothing while answers are due is given up."""
        if self._link.progress > self._progress:
            self._progress = self._link.progress
            self._session.progressed(now)
        elif self._session.overdue(now):
            self._link.abort(_NO_ACK)

    def _say_health(self, now: MonoNs) -> None:
        if self._health is not None and now >= self._health_at:
            self._health_at = MonoNs(now + self._tuning.health_ns)
            self._session.say(self._feed.health(self._health()))

    def _sleep(self, longest_s: float) -> None:
        now = self._clock.mono_ns()
        times = [when for when in (self._session.wake_at(now), self._link.wake_at) if when is not None]
        left_s = (min(times) - now) / NS if times else longest_s
        self._link.wait(max(0.0, min(longest_s, left_s)), self._wake_fd)
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return

    # --- the end --------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Send what is live, wait for answers, say offline, leave. Bounded: systemd waits for us."""
        self._session.stop()
        self._turn_until(self._tuning.drain_ns)
        if self._link.is_up:
            self._session.say(self._feed.status("offline", "stopped"))
            self._turn_until(self._tuning.goodbye_ns)

    def _turn_until(self, bound_ns: int) -> None:
        """Until nothing is unanswered, the connection is gone, or the time is over."""
        end = self._clock.mono_ns() + bound_ns
        while self._link.is_up:
            self._turn()
            left_ns = end - self._clock.mono_ns()
            if self._session.is_quiet or left_ns <= 0:
                return
            self._sleep(min(self._tuning.poll_s, left_ns / NS))


def connect_options(site: Site, tuning: Tuning) -> tuple[ConnectOptions, bool]:
    """Everything of the configuration that concerns the connection, and whether the version may change.

    UplinkError when the broker cannot be used as configured.
    """
    uplink = site.uplink
    version, auto_version = versions(uplink.protocol)
    options = ConnectOptions(
        address=address.parse(uplink.url, insecure=uplink.insecure),
        login=Login(
            username=uplink.username,
            password_file=uplink.password_file,
            ca=uplink.ca,
            cert=uplink.cert,
            key=uplink.key,
        ),
        client_id=uplink.client_id or client_id(site.site, site.agent),
        protocol=version,
        keepalive_s=uplink.keepalive_s,
        dial_timeout_ns=tuning.dial_timeout_ns,
        connack_timeout_ns=tuning.connack_timeout_ns,
    )
    return options, auto_version
