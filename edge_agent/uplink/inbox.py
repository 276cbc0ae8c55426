"""What receivers ask under `dn/`, carried out: acknowledgements, replays, rebirths.

`requests` judges, the session and the outbox do; here it is counted, and audited. Of the uplink thread.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.records.events import Audit
from edge_agent.uplink.connection.wire import Received
from edge_agent.uplink.mirror import Mirror
from edge_agent.uplink.outbox import Outbox, Run
from edge_agent.uplink.payloads import Ack, ReplayRequest
from edge_agent.uplink.requests import Refused, Requests
from edge_agent.uplink.sending.confirm import Word
from edge_agent.uplink.sending.replay import Replay
from edge_agent.uplink.sending.session import Session

REQUESTS = declare(
    "uplink_requests", "what was asked below dn/, by topic and what became of it", "what", "result"
)
IGNORED = declare("uplink_ignored_messages", "messages from the broker that nothing here acts on")

Auditor = Callable[[Audit], None]
"""Makes a record of the stream `audit`. A broker does not tell an agent who published a message: who is the
topic it came by."""


def no_audit(_audit: Audit) -> None:
    """For an uplink that is tried alone."""


class Inbox:
    def __init__(
        self, requests: Requests, session: Session, outbox: Outbox, mirror: Mirror,
        clock: Clock, counters: Counters, audit: Auditor,
    ) -> None:  # fmt: skip
        self._requests = requests
        self._session = session
        self._outbox = outbox
        self._mirror = mirror
        self._clock = clock
        self._counters = counters
        self._audit = audit

    def filters(self) -> tuple[str, ...]:
        return self._requests.filters()

    def take(self, received: Received) -> None:
        now, full = self._clock.mono_ns(), self._session.replays.is_full
        match self._requests.judge(now, received.message, full=full):
            case None:
                self._counters.get(IGNORED).add()
            case Refused() as refused:
                self._refuse(refused)
            case Ack() as ack:
                self._ack(ack)
            case ReplayRequest() as request:
                self._replay(request)
            case _:
                self._count("rebirth", "taken")
                self._session.repeat(self._mirror.greeting())
                self._say("rebirth", "accepted", "births, status, alarm states")

    def turn(self) -> None:
        """Say which replays have come to their end."""
        for replay in self._session.replays.take_finished():
            self._say("replay", "done", f"{replay}: {_counts(replay)}")

    def _ack(self, ack: Ack) -> None:
        word, runs = self._session.receiver_acked(self._clock.mono_ns(), ack)
        self._count("ack", word)
        if runs:
            self._outbox.ack_runs(runs)

    def _replay(self, request: ReplayRequest) -> None:
        asked = Run(request.epoch, request.stream, request.first, request.last)
        replay = self._session.replays.add(asked, self._outbox.stored(request.stream))
        known = replay.waiting > 0
        self._count("replay", "taken" if known else Word.UNKNOWN)
        if known:
            detail = f"{replay}: {replay.waiting} to be sent, {replay.absent} not there any more"
            self._say("replay", "accepted", detail)

    def _refuse(self, refused: Refused) -> None:
        self._count(refused.what, refused.why)
        if refused.audited:
            self._say(refused.what, f"refused: {refused.why}", refused.detail)

    def _say(self, what: str, result: str, detail: str) -> None:
        self._audit(Audit(who=f"dn/{what}", what=what, result=result, detail=detail))

    def _count(self, what: str, result: str) -> None:
        self._counters.get(REQUESTS, what, str(result)).add()


def _counts(replay: Replay) -> str:
    return f"{replay.sent} sent, {replay.absent} not there any more"
