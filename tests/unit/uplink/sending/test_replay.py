"""Records that are asked for again: what is there, once, and an account of the rest."""

from __future__ import annotations

from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.sending.replay import MAX_PENDING, Replays

E, OLD = b"\x02" * 8, b"\x01" * 8


def _open(_stream: str) -> bool:
    return False


def _run(first: int, last: int, epoch: bytes = E, stream: str = "sample") -> Run:
    return Run(epoch, stream, first, last)


def _all(replays: Replays) -> list[int]:
    seqs = []
    while ref := replays.next(_open):
        seqs.append(ref.seq)
        replays.done(ref)
    return seqs


def test_a_request_is_cut_to_what_is_stored_and_the_rest_is_counted() -> None:
    replays = Replays()
    stored = [_run(1, 100, OLD), _run(4, 6), _run(9, 20)]
    replay = replays.add(_run(5, 10), stored)
    assert (replay.waiting, replay.absent) == (4, 2)
    assert _all(replays) == [5, 6, 9, 10]
    assert replays.take_finished() == [replay] and replay.sent == 4
    assert not replays.take_finished()


def test_a_request_of_which_nothing_is_there_ends_at_once() -> None:
    replays = Replays()
    replay = replays.add(_run(1, 1_000_000), [])
    assert replays.take_finished() == [replay] and replay.absent == 1_000_000


def test_what_was_not_answered_when_the_connection_ended_comes_again() -> None:
    replays = Replays()
    replay = replays.add(_run(1, 3), [_run(1, 3)])
    taken = [replays.next(_open) for _ in range(3)]
    assert taken[0]
    replays.done(taken[0])
    assert not replays.take_finished(), "two are on their way"
    replays.put_back([ref for ref in taken[1:] if ref])
    assert _all(replays) == [2, 3] and replay.sent == 3


def test_what_is_gone_at_its_turn_is_counted_as_absent() -> None:
    replays = Replays()
    replay = replays.add(_run(1, 2), [_run(1, 2)])
    ref = replays.next(_open)
    assert ref
    replays.done(ref, there=False)
    assert _all(replays) == [2] and (replay.sent, replay.absent) == (1, 1)


def test_requests_are_served_in_order_but_a_closed_stream_holds_up_no_other() -> None:
    replays = Replays()
    replays.add(_run(1, 1), [_run(1, 1)])
    replays.add(_run(7, 7, stream="alarm"), [_run(7, 7, stream="alarm")])
    assert replays.next(lambda stream: stream == "sample") == Ref(E, "alarm", 7)
    assert replays.next(_open) == Ref(E, "sample", 1)
    assert not replays.is_open(_open)


def test_pending_requests_are_bounded() -> None:
    replays = Replays()
    for _ in range(MAX_PENDING):
        assert not replays.is_full
        replays.add(_run(1, 1), [_run(1, 1)])
    assert replays.is_full
