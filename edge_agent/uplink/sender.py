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
from edge_agent.counters import Counters
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs, Site
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink import report
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.address import Login
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.connection.link import Link, versions
from edge_agent.uplink.connection.wire import (
    ConnectOptions,
    Down,
    Published,
    Received,
    Subscribed,
    Traffic,
    Up,
)
from edge_agent.uplink.connection.wire import Event as LinkEvent
from edge_agent.uplink.feed import Feed
from edge_agent.uplink.inbox import Auditor, Inbox, no_audit
from edge_agent.uplink.mirror import Mirror
from edge_agent.uplink.outbox import Outbox
from edge_agent.uplink.reasons import Cause, Failure
from edge_agent.uplink.requests import Requests
from edge_agent.uplink.sending.confirm import Confirmations
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.session import Session, State
from edge_agent.uplink.topics import Topics, client_id

_SPOOL_BOUND_NS = 60 * NS
"""Reading the spool can take as long as a failing disk does."""
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
    look_ns: int = NS
    """Between two looks at how delivery stands, for the status."""


class Sender:
    """`outbox`, `alarm_states` (at each connect), `health` and `audit` are called by the uplink thread."""

    def __init__(
        self,
        site: Site,
        outbox: Outbox,
        clock: Clock,
        counters: Counters,
        alarm_states: Callable[[], Sequence[AlarmTransition]] = tuple,
        health: Callable[[], Mapping[str, Any]] | None = None,
        *,
        audit: Auditor = no_audit,
        tuning: Tuning | None = None,
        random: Random | None = None,
    ) -> None:
        self._tuning = tuning = tuning or Tuning()
        topics = Topics(site.site, site.agent)
        limits = replace(tuning.limits, backlog_rate=site.uplink.backlog_rate)
        by_receiver = site.uplink.ack == "receiver"
        self._confirm = Confirmations(limits) if by_receiver else None
        self._session = Session(topics, limits, self._confirm)
        self._mirror = Mirror(topics, outbox, alarm_states, clock, counters)
        self._feed = Feed(self._mirror, self._session, outbox, clock, counters)
        requests = Requests(topics, acks=by_receiver)
        self._inbox = Inbox(requests, self._session, outbox, self._mirror, clock, counters, audit)
        options, auto_version = connect_options(site, tuning)
        self._link = Link(
            options,
            auto_version=auto_version,
            clock=clock,
            counters=counters,
            policy=tuning.backoff,
            random=random,
            will=lambda: self._mirror.status("offline", "connection lost"),
        )
        self._outbox = outbox
        self._health = health
        self._health_at = MonoNs(0)
        self._clock = clock
        self._traffic = Traffic()
        self._deaf = False
        """The broker refused the subscription."""
        self._waiting: Mapping[str, int] = {}
        self._delivery: Mapping[str, Any] = {}
        self._problems: Sequence[str] = ()
        self._look_at = MonoNs(0)
        self._look(clock.mono_ns())
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.heartbeat = Heartbeat("uplink", clock)

    # --- for other threads ----------------------------------------------------------------------

    def wake(self) -> None:
        """Something was appended to the outbox, or `stop` was set."""
        os.eventfd_write(self._wake_fd, 1)

    def alarm_changed(self, transition: AlarmTransition) -> None:
        """Mirror this state to its retained topic."""
        self._mirror.alarm_changed(transition)
        self.wake()

    def problems(self) -> Sequence[str]:
        """What is wrong with delivery now, for people."""
        return self._problems

    def snapshot(self) -> dict[str, Any]:
        """For the status: what the connection is doing, since when, why not, and what waits."""
        waiting, delivery = self._waiting, self._delivery
        return {
            **self._link.snapshot(),
            "in_flight": self._session.in_flight,
            "window": self._session.window,
            "waiting": waiting,
            "backlog": max(0, sum(waiting.values()) - delivery["unconfirmed"]),
            **delivery,
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
            self._inbox.turn()
        if now >= self._look_at:
            self._look(now)

    def _look(self, now: MonoNs) -> None:
        """Once a second, for other threads."""
        self._look_at = MonoNs(now + self._tuning.look_ns)
        self._waiting = dict(self._outbox.waiting())
        self._delivery = report.delivery(now, self._session, self._confirm)
        self._problems = report.problems(now, self._session, self._confirm, deaf=self._deaf)

    def _handle(self, event: LinkEvent) -> None:
        match event:
            case Up():
                self._traffic, self._deaf = Traffic(), False
                self._link.subscribe(self._inbox.filters(), see_retained=True)
                self._health_at = MonoNs(self._clock.mono_ns() + self._tuning.health_ns // 10)
                with self.heartbeat.call("spool: what waits", _SPOOL_BOUND_NS):
                    self._feed.connected(event)
            case Down():
                self._feed.disconnected(event)
            case Published(mid, code):
                self._feed.answered(mid, code)
            case Subscribed(codes):
                self._deaf = any(code >= 0x80 for code in codes)
            case Received():
                self._inbox.take(event)

    def _watch(self, now: MonoNs) -> None:
        """A slow link moves bytes; one that moves nothing while answers are due is given up."""
        before, self._traffic = self._traffic, self._link.traffic
        self._session.looked(
            now,
            heard=self._traffic.heard > before.heard,
            moved=self._traffic.taken > before.taken,
            taken=self._link.is_up and not self._traffic.left,
        )
        if self._session.overdue(now):
            self._link.abort(_NO_ACK)

    def _say_health(self, now: MonoNs) -> None:
        if self._health is not None and now >= self._health_at:
            self._health_at = MonoNs(now + self._tuning.health_ns)
            self._session.say(self._mirror.health(self._health()))

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
            self._session.say(self._mirror.status("offline", "stopped"))
            self._turn_until(self._tuning.goodbye_ns)

    def _turn_until(self, bound_ns: int) -> None:
        """Until nothing is unanswered, the connection is gone, or the time is over."""
        end = self._clock.mono_ns() + bound_ns
        while self._link.is_up:
            self._turn()
            left_ns = end - self._clock.mono_ns()
            if self._session.is_quiet(self._clock.mono_ns()) or left_ns <= 0:
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
