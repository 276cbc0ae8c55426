"""What is published next, and what answers mean: scripts of virtual time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.reasons import Cause, Verdict
from edge_agent.uplink.sending.items import Item, Send
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.session import Session, State
from edge_agent.uplink.topics import Topics

EPOCH, OLD = b"\x02" * 8, b"\x01" * 8
TOPICS = Topics("site", "agent")
T0 = MonoNs(1000 * NS)
LIMITS = Limits(backlog_rate=1000)


def _session(limits: Limits = LIMITS) -> Session:
    return Session(TOPICS, limits)


def _up(
    session: Session,
    *,
    greeting: tuple[Message, ...] = (),
    tails: dict[str, int] | None = None,
    unacked: tuple[Run, ...] = (),
    receive_maximum: int = 65535,
    now: MonoNs = T0,
) -> Session:
    session.connected(now, receive_maximum, greeting, EPOCH, tails or {}, unacked)
    return session


def _drain(session: Session, now: MonoNs = T0, size: int = 100, token: int = 0) -> list[Item]:
    """Everything that may be sent now, without any answer."""
    items: list[Item] = []
    while (item := session.next(now)) is not None:
        session.sent(now, token + len(items), item, size)
        items.append(item)
    return items


def _streams(items: list[Item]) -> list[str]:
    return [item.ref.stream if isinstance(item, Send) else item.topic for item in items]


def _message(topic: str = "status") -> Message:
    return Message(topic=topic, payload=b"x", retain=True)


def test_the_greeting_comes_first_then_alarms_events_data_and_backlog() -> None:
    session = _up(_session(), greeting=(_message(),), unacked=(Run(OLD, "sample", 5, 6),))
    session.say(_message("alarm/a"))
    session.appended({"sample": 1, "summary": 1, "event": 1, "alarm": 1})
    items = _drain(session)
    assert _streams(items) == ["status", "alarm", "alarm/a", "event", "sample", "summary", "sample", "sample"]
    assert [item.topic.split("/")[-2] for item in items if isinstance(item, Send)] == ["data"] * 4 + [
        "hist"
    ] * 2


def test_what_waited_at_the_connection_is_backlog_and_what_comes_after_is_live() -> None:
    unacked = (Run(OLD, "sample", 8, 9), Run(EPOCH, "sample", 1, 4))
    session = _up(_session(), tails={"sample": 3}, unacked=unacked)
    session.appended({"sample": 4})
    sent = [(item.ref, item.backlog) for item in _drain(session) if isinstance(item, Send)]
    live = [(Ref(EPOCH, "sample", 4), False)]
    backlog = [(Ref(OLD, "sample", n), True) for n in (8, 9)] + [
        (Ref(EPOCH, "sample", n), True) for n in (1, 2, 3)
    ]
    assert sent == live + backlog


def test_backlog_sends_alarms_and_events_before_measurements_and_each_stream_in_order() -> None:
    runs = (
        Run(OLD, "sample", 1, 2),
        Run(OLD, "alarm", 3, 3),
        Run(EPOCH, "alarm", 1, 1),
        Run(OLD, "event", 1, 1),
    )
    items = _drain(_up(_session(), tails={"alarm": 1}, unacked=runs))
    assert _streams(items) == ["alarm", "alarm", "event", "sample", "sample"]
    assert [item.ref.epoch for item in items if isinstance(item, Send)][:2] == [OLD, EPOCH]


@pytest.mark.parametrize(("receive_maximum", "window"), [(1, 1), (19, 19), (20, 20), (21, 20), (65535, 20)])
def test_no_more_is_in_flight_than_both_sides_allow(receive_maximum: int, window: int) -> None:
    session = _up(_session(), receive_maximum=receive_maximum)
    session.appended({"alarm": 100})
    assert len(_drain(session)) == window == session.window


def test_places_are_kept_for_alarms_and_live_data() -> None:
    session = _up(_session(), unacked=(Run(OLD, "sample", 1, 1000),))
    assert len(_drain(session)) == 12
    session.appended({"summary": 100})
    assert _streams(_drain(session, token=100)) == ["summary"] * 4
    session.appended({"summary": 100, "alarm": 100})
    assert _streams(_drain(session, token=200)) == ["alarm"] * 4


def test_a_window_of_one_serves_everything_in_order_of_rank() -> None:
    session = _up(_session(), receive_maximum=1, unacked=(Run(OLD, "sample", 1, 1),))
    session.appended({"alarm": 1, "summary": 1})
    order = []
    for token in range(3):
        order += _streams(_drain(session, token=token))
        assert session.answered(T0, token, 0) is not None
    assert order == ["alarm", "summary", "sample"]


def test_backlog_bytes_in_flight_are_bounded_but_one_record_always_passes() -> None:
    session = _up(_session(replace(LIMITS, backlog_bytes=1000)), unacked=(Run(OLD, "sample", 1, 50),))
    assert len(_drain(session, size=600)) == 2
    session = _up(_session(replace(LIMITS, backlog_bytes=1000)), unacked=(Run(OLD, "sample", 1, 50),))
    assert len(_drain(session, size=16_000)) == 1


def test_the_backlog_keeps_its_rate_and_live_data_do_not_wait_for_it() -> None:
    session = _up(_session(replace(LIMITS, backlog_rate=10)), unacked=(Run(OLD, "sample", 1, 10_000),))
    sent, now, token = 0, T0, 0
    while now < T0 + 10 * NS:
        for item in _drain(session, now, token=token):
            session.answered(now, token, 0)
            token += 1
            sent += isinstance(item, Send) and item.backlog
        wake = session.wake_at(now)
        assert wake is not None and wake > now
        now = wake
    assert 95 <= sent <= 105
    session.appended({"sample": 1})
    assert _streams(_drain(session, now, token=token))[0] == "sample"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x00, Verdict.DONE), (0x10, Verdict.DONE), (0x7F, Verdict.DONE), (0x80, Verdict.PAUSE),
        (0x83, Verdict.PAUSE), (0x87, Verdict.PARK), (0x90, Verdict.PARK), (0x91, Verdict.PAUSE),
        (0x95, Verdict.REFUSE), (0x96, Verdict.PAUSE), (0x97, Verdict.PAUSE), (0x99, Verdict.REFUSE),
        (0xFF, Verdict.PAUSE),
    ],
)  # fmt: skip
def test_every_answer_has_its_rule(code: int, outcome: Verdict) -> None:
    session = _up(_session())
    session.appended({"sample": 1})
    (item,) = _drain(session)
    answer = session.answered(T0, 0, code)
    assert answer is not None and (answer.verdict, answer.item) == (outcome, item)
    assert session.next(T0) is None
    again = session.next(MonoNs(T0 + NS))
    assert (again == item) is (outcome is Verdict.PAUSE)


@pytest.mark.parametrize(("code", "at_last"), [(0x80, Verdict.REFUSE), (0x97, Verdict.PARK)])
def test_a_record_the_broker_puts_off_is_not_tried_for_ever(code: int, at_last: Verdict) -> None:
    """Trouble without a name is the record's, a quota is everybody's."""
    session = _up(_session())
    session.appended({"sample": 1})
    now, verdicts = T0, []
    for token in range(LIMITS.tries):
        item = session.next(now)
        assert item is not None
        session.sent(now, token, item, 1)
        answer = session.answered(now, token, code)
        assert answer is not None
        verdicts.append(answer.verdict)
        now = MonoNs(now + 50 * NS)
    assert verdicts == [Verdict.PAUSE, Verdict.PAUSE, at_last]
    assert session.next(now) is None


def test_a_window_of_refusals_is_one_pause() -> None:
    session = _up(_session())
    session.appended({"sample": 10})
    for token, _ in enumerate(_drain(session)):
        session.answered(T0, token, 0x97)
    assert session.wake_at(T0) == T0 + NS


def test_a_pause_does_not_keep_the_thread_awake_for_the_backlog() -> None:
    session = _up(_session(), unacked=(Run(OLD, "sample", 1, 1000),))
    for token, _ in enumerate(_drain(session)):
        session.answered(T0, token, 0x97)
    assert session.next(T0) is None and session.wake_at(T0) == T0 + NS


def test_a_parked_class_with_nothing_to_send_does_not_keep_the_thread_awake() -> None:
    session = _up(_session())
    session.appended({"sample": 1})
    _drain(session)
    session.answered(T0, 0, 0x87)
    session.disconnected(T0, Cause.LOST)
    later = MonoNs(T0 + 3600 * NS)
    _up(session, tails={"sample": 1}, now=later)
    assert session.next(later) is None and session.wake_at(later) is None


def test_records_too_large_for_the_broker_are_probed_like_those_it_refuses() -> None:
    session = _up(_session())
    session.appended({"sample": 5})
    now, seqs = T0, []
    for _ in range(4):
        for _ in range(10):
            if (item := session.next(now)) is None:
                break
            assert isinstance(item, Send)
            seqs.append(item.ref.seq)
            session.unsendable(now, item, 0x95)
        when = session.wake_at(now)
        assert when is not None
        now = when
    assert seqs == [1, 2, 3, 4, 5, 1], "three in a row, then another one at each probe"


def test_a_pause_holds_everything_and_grows() -> None:
    session = _up(_session())
    session.appended({"sample": 2, "alarm": 1})
    _drain(session)
    session.answered(T0, 0, 0x97)
    session.appended({"sample": 2, "alarm": 2})
    assert session.next(MonoNs(T0 + NS - 1)) is None
    assert session.wake_at(T0) == T0 + NS
    assert session.next(MonoNs(T0 + NS)) is not None
    session.answered(MonoNs(T0 + NS), 1, 0x97)
    assert session.next(MonoNs(T0 + 3 * NS - 1)) is None
    assert session.next(MonoNs(T0 + 3 * NS)) is not None


@pytest.mark.parametrize(
    ("after_ns", "overdue"), [(10 * NS - 1, False), (10 * NS, True), (10 * NS + 1, True)]
)
def test_the_ack_timeout(after_ns: int, overdue: bool) -> None:
    session = _up(_session())
    assert not session.overdue(MonoNs(T0 + 3600 * NS))
    session.appended({"sample": 1})
    _drain(session)
    assert session.overdue(MonoNs(T0 + after_ns)) is overdue
    session.looked(MonoNs(T0 + after_ns), heard=True, moved=True, taken=True)
    assert not session.overdue(MonoNs(T0 + after_ns))


def test_a_record_that_made_the_broker_hang_up_over_its_size_is_asked_alone_and_then_given_up() -> None:
    runs = (Run(OLD, "sample", 1, 3),)
    session = _up(_session(), unacked=runs)
    for token, size in enumerate((10, 9000, 20)):
        item = session.next(T0)
        assert item is not None
        session.sent(T0, token, item, size)
    now, given_up = T0, session.disconnected(T0, Cause.TOO_LARGE)
    for _ in range(LIMITS.tries):
        assert not given_up
        _up(session, unacked=runs, now=now)
        seqs: list[int] = []
        while seqs[-1:] != [2]:
            now = MonoNs(now + NS)
            sent = [item.ref.seq for item in _drain(session, now) if isinstance(item, Send)]
            assert sent == [2] or 2 not in sent, "it is alone in flight"
            seqs += sent
            for token in range(len(sent)) if sent != [2] else ():
                session.answered(now, token, 0)
        given_up = session.disconnected(now, Cause.TOO_LARGE)
    assert [send.ref.seq for send, _ in given_up] == [2]


def test_a_broker_that_says_too_much_was_in_flight_gets_less() -> None:
    session = _up(_session())
    session.disconnected(T0, Cause.WINDOW)
    assert _up(session).window == 10


def test_only_live_data_go_out_while_stopping() -> None:
    session = _up(_session(), unacked=(Run(OLD, "sample", 1, 100),))
    session.stop()
    session.appended({"event": 1})
    assert _streams(_drain(session)) == ["event"]
    assert not session.is_quiet(T0)
    session.answered(T0, 0, 0)
    assert session.is_quiet(T0)


def test_a_replay_that_met_the_end_of_the_connection_is_put_back() -> None:
    session = _up(_session())
    session.replays.add(Run(OLD, "sample", 1, 2), [Run(OLD, "sample", 1, 2)])
    item = session.next(T0)
    assert isinstance(item, Send) and item.replay
    session.left_over(item)
    session.disconnected(T0, Cause.LOST)
    assert [item.ref.seq for item in _drain(_up(session)) if isinstance(item, Send)] == [1, 2]


_EVENTS = {
    "connected": lambda s: _up(s, tails={"sample": 5}),
    "disconnected": lambda s: s.disconnected(T0, Cause.LOST),
    "appended": lambda s: s.appended({"sample": 6}),
    "say": lambda s: s.say(_message("mirror")),
    "stop": lambda s: s.stop(),
    "answered": lambda s: s.answered(T0, 12345, 0),
    "looked": lambda s: s.looked(T0, heard=True, moved=True, taken=True),
}
_TABLE = {
    (State.DOWN, "connected"): (State.UP, None),
    (State.DOWN, "disconnected"): (State.DOWN, None),
    (State.DOWN, "appended"): (State.DOWN, None),
    (State.DOWN, "say"): (State.DOWN, None),
    (State.DOWN, "stop"): (State.DOWN, None),
    (State.DOWN, "answered"): (State.DOWN, None),
    (State.DOWN, "looked"): (State.DOWN, None),
    (State.UP, "connected"): (State.UP, None),
    (State.UP, "disconnected"): (State.DOWN, None),
    (State.UP, "appended"): (State.UP, "sample"),
    (State.UP, "say"): (State.UP, "mirror"),
    (State.UP, "stop"): (State.STOPPING, None),
    (State.UP, "answered"): (State.UP, None),
    (State.UP, "looked"): (State.UP, None),
    (State.STOPPING, "connected"): (State.UP, None),
    (State.STOPPING, "disconnected"): (State.DOWN, None),
    (State.STOPPING, "appended"): (State.STOPPING, "sample"),
    (State.STOPPING, "say"): (State.STOPPING, "mirror"),
    (State.STOPPING, "stop"): (State.STOPPING, None),
    (State.STOPPING, "answered"): (State.STOPPING, None),
    (State.STOPPING, "looked"): (State.STOPPING, None),
}


@pytest.mark.parametrize(("state", "event"), [(s, e) for s in State for e in _EVENTS])
def test_every_event_in_every_state(state: State, event: str) -> None:
    session = _session()
    if state is not State.DOWN:
        _up(session, tails={"sample": 5})
    if state is State.STOPPING:
        session.stop()
    _EVENTS[event](session)
    after, publishes = _TABLE[state, event]
    assert session.state is after
    item = session.next(T0)
    assert (_streams([item])[0] if item else None) == publishes


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_record_is_offered_once_a_connection_and_acknowledged_only_by_its_own_answer(
    data: st.DataObject,
) -> None:
    """A random broker and random appends; at the end a kind broker gets everything that is left."""
    session = _session(replace(LIMITS, backlog_rate=10**6))
    tails = {"alarm": 0, "event": 0, "sample": 0, "summary": 0}
    acked: set[Ref] = set()
    refusals: Counter[Ref] = Counter()
    now = T0

    def unacked() -> tuple[Run, ...]:
        refs = [Ref(EPOCH, stream, seq) for stream, tail in tails.items() for seq in range(1, tail + 1)]
        return tuple(Run(r.epoch, r.stream, r.seq, r.seq) for r in refs if r not in acked)

    for kind in [*data.draw(st.lists(st.sampled_from(["wild", "cut"]), max_size=4)), "kind"]:
        _up(session, tails=tails, unacked=unacked(), receive_maximum=data.draw(st.integers(1, 30)), now=now)
        offered: Counter[Item] = Counter()
        again: Counter[Item] = Counter()
        flying: dict[int, Item] = {}
        for step in range(60 if kind != "kind" else 400):
            now = MonoNs(now + 100 * NS)
            if kind != "kind":
                stream = data.draw(st.sampled_from(sorted(tails)))
                tails[stream] += data.draw(st.integers(0, 2))
            session.appended(tails)
            if (item := session.next(now)) is not None:
                offered[item] += 1
                assert offered[item] <= 1 + again[item]
                session.sent(now, step, item, 10)
                flying[step] = item
                assert len(flying) <= session.window
            elif (wake := session.wake_at(now)) is not None:
                assert wake > now, "the thread would spin"
            if flying and (kind == "kind" or data.draw(st.booleans())):
                token = min(flying) if kind == "kind" else data.draw(st.sampled_from(sorted(flying)))
                code = 0 if kind == "kind" else data.draw(st.sampled_from([0, 0, 0x10, 0x97, 0x87, 0x99]))
                answer = session.answered(now, token, code)
                item = flying.pop(token)
                assert answer is not None and answer.item == item
                acked.update(answer.done)
                assert set(answer.done) <= ({item.ref} if isinstance(item, Send) and code < 0x80 else set())
                for send, _ in answer.given_up:
                    refusals[send.ref] += 1
                    acked.add(send.ref)
                # Offered again: what was put off, and of a parked class what was refused.
                again[item] += code >= 0x80
        session.disconnected(T0, Cause.LOST)
    assert not unacked() or sum(tails.values()) > 350
    assert all(count == 1 for count in refusals.values())


def _alarm(payload: bytes) -> Message:
    return Message(topic=TOPICS.alarm("a"), payload=payload, retain=True)


def test_a_rebirth_does_not_bring_back_an_alarm_that_ended_meanwhile() -> None:
    session = _up(_session())
    session.repeat([_message(), _alarm(b"active")])
    session.say(_alarm(b""))
    assert _drain(session) == [_alarm(b""), _message()]


@pytest.mark.parametrize("code", [0x97, 0x80, 0x87, 0x95])
def test_a_refused_state_does_not_come_back_when_a_newer_one_was_sent(code: int) -> None:
    session = _up(_session())
    for token, payload in enumerate((b"active", b"")):
        session.say(_alarm(payload))
        assert _drain(session, token=token) == [_alarm(payload)]
    session.answered(T0, 0, code)
    session.answered(T0, 1, 0)
    later = MonoNs(T0 + 3600 * NS)
    assert _drain(session, now=later, token=2) == []


def test_a_refused_state_is_sent_again_while_it_is_the_newest() -> None:
    session = _up(_session())
    session.say(_alarm(b"active"))
    _drain(session)
    session.answered(T0, 0, 0x97)
    assert _drain(session, now=MonoNs(T0 + 2 * NS), token=1) == [_alarm(b"active")]
