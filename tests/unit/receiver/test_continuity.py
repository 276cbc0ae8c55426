"""What is missing, what is declared, what is a duplicate."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.receiver.continuity import MAX_STREAMS, Continuity, Source

SOURCE = Source("plant", "agent")
A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))


def _see(
    continuity: Continuity, epoch: bytes, *seqs: int, stream: str = "sample", live: bool = True
) -> list[bool]:
    return [continuity.see(SOURCE, epoch, stream, seq, live=live) for seq in seqs]


def _missing(continuity: Continuity) -> list[tuple[bytes, str, int, int]]:
    return [(gap.epoch, gap.stream, gap.first, gap.last) for gap in continuity.missing()]


def test_a_repeat_is_a_duplicate() -> None:
    continuity = Continuity()
    assert _see(continuity, A, 1, 2, 1) == [True, True, False]
    assert not continuity.is_new(SOURCE, A, "sample", 2)
    assert continuity.is_new(SOURCE, A, "sample", 3)


def test_a_hole_is_missing_until_it_is_filled_or_declared() -> None:
    continuity = Continuity()
    _see(continuity, A, 1, 2, 6)
    assert _missing(continuity) == [(A, "sample", 3, 5)]
    _see(continuity, A, 4, live=False)
    assert _missing(continuity) == [(A, "sample", 3, 3), (A, "sample", 5, 5)]
    continuity.declare(SOURCE, A, "sample", 3, 3)
    _see(continuity, A, 5, live=False)
    assert _missing(continuity) == []


def test_a_declared_record_that_arrives_all_the_same_is_fresh_once() -> None:
    continuity = Continuity()
    continuity.declare(SOURCE, A, "sample", 1, 3)
    assert _see(continuity, A, 2, 2) == [True, False]


def test_a_receiver_that_joins_in_the_middle_counts_from_there() -> None:
    continuity = Continuity()
    _see(continuity, A, 100, 101, 103)
    assert _missing(continuity) == [(A, "sample", 102, 102)]
    _see(continuity, A, 90, live=False)
    assert _missing(continuity) == [(A, "sample", 91, 99), (A, "sample", 102, 102)]


def test_an_epoch_whose_start_was_seen_counts_from_one() -> None:
    continuity = Continuity()
    _see(continuity, A, 3)
    assert _missing(continuity) == []
    continuity.started(SOURCE, A, b"", {})
    assert _missing(continuity) == [(A, "sample", 1, 2)]


def test_an_epoch_that_begins_while_we_listen_counts_from_one() -> None:
    continuity = Continuity()
    _see(continuity, A, 100)
    _see(continuity, B, 3)
    assert _missing(continuity) == [(B, "sample", 1, 2)]


def test_a_start_closes_the_epoch_before_it() -> None:
    continuity = Continuity()
    continuity.started(SOURCE, A, b"", {})
    _see(continuity, A, 1, 2, 8)
    continuity.started(SOURCE, B, A, {"sample": 5, "alarm": 1})
    assert _missing(continuity) == [(A, "sample", 3, 5), (A, "alarm", 1, 1)]
    assert _see(continuity, A, 8) == [False], "what arrived from beyond the end stays"


def test_an_epoch_that_was_lost_whole_is_missing_for_one_who_listened() -> None:
    attended, late = Continuity(), Continuity()
    _see(attended, A, 1)
    for continuity in (attended, late):
        continuity.started(SOURCE, C, B, {"sample": 4})
    assert _missing(attended) == [(B, "sample", 1, 4)]
    assert _missing(late) == []


def test_an_epoch_that_was_lost_whole_is_missing_though_live_records_of_the_next_came_first() -> None:
    continuity = Continuity()
    _see(continuity, A, 1)
    _see(continuity, C, 1)
    continuity.started(SOURCE, C, B, {"sample": 3})
    assert _missing(continuity) == [(B, "sample", 1, 3)]


def test_a_stop_closes_its_own_epoch() -> None:
    continuity = Continuity()
    continuity.started(SOURCE, A, b"", {})
    _see(continuity, A, 1)
    continuity.stopped(SOURCE, A, {"sample": 2, "alarm": 0})
    assert _missing(continuity) == [(A, "sample", 2, 2)]


def test_two_agents_are_two_books() -> None:
    continuity = Continuity()
    other = Source("plant", "other")
    _see(continuity, A, 1, 3)
    assert continuity.see(other, A, "sample", 1, live=True)
    assert [gap.source for gap in continuity.missing()] == [SOURCE]


def test_acknowledgements_reach_up_to_the_first_hole() -> None:
    continuity = Continuity()
    continuity.started(SOURCE, A, b"", {})
    _see(continuity, A, 1, 2, 4)
    assert list(continuity.contiguous()) == [(SOURCE, A, "sample", 2)]
    continuity.declare(SOURCE, A, "sample", 3, 3)
    assert list(continuity.contiguous()) == [(SOURCE, A, "sample", 4)]


def test_the_oldest_epoch_gives_way_and_is_counted() -> None:
    continuity = Continuity(max_epochs=3)
    for number in range(1, 6):
        _see(continuity, bytes([number]) * 8, 1)
    assert continuity.forgotten == 2


def test_the_agent_that_was_silent_longest_gives_way_and_is_counted() -> None:
    continuity = Continuity(max_agents=2)
    continuity.see(SOURCE, A, "sample", 1, live=True)
    for number in range(5):
        continuity.see(Source("invented", str(number)), A, "sample", 1, live=True)
        assert not continuity.see(SOURCE, A, "sample", 1, live=True)
    assert continuity.forgotten == 4


def test_invented_streams_are_not_accounted() -> None:
    continuity = Continuity()
    _see(continuity, A, 1, 2)
    continuity.stopped(SOURCE, A, {f"invented{number}": 2**63 - 1 for number in range(1000)})
    assert len({gap.stream for gap in continuity.missing()}) < MAX_STREAMS
    assert not continuity.see(SOURCE, A, "sample", 2, live=True)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(1, 4))
def test_whatever_the_order_exactly_what_was_lost_is_missing(seed: int, losses: int, epochs: int) -> None:
    """Runs of an agent, delivered shuffled and partly twice, some records lost, some losses declared."""
    source = random.Random(seed)
    names = [bytes([number + 1]) * 8 for number in range(epochs)]
    sizes = {name: source.randrange(1, 20) for name in names}
    records = [(name, seq) for name in names for seq in range(1, sizes[name] + 1)]
    lost = set(source.sample(records, min(losses, len(records))))
    declared = {record for record in lost if source.random() < 0.5}
    arrivals = [record for record in records if record not in lost]
    arrivals += source.choices(arrivals, k=5) if arrivals else []
    steps = [("see", record) for record in arrivals] + [("declare", record) for record in declared]
    steps += [("start", (name, 0)) for name in names]
    source.shuffle(steps)
    continuity = Continuity()
    fresh = 0
    for step, (epoch, seq) in steps:
        place = names.index(epoch)
        previous = names[place - 1] if place else b""
        if step == "see":
            fresh += continuity.see(SOURCE, epoch, "sample", seq, live=source.random() < 0.5)
        elif step == "declare":
            continuity.declare(SOURCE, epoch, "sample", seq, seq)
        else:
            continuity.started(SOURCE, epoch, previous, {"sample": sizes.get(previous, 0)})
        if source.random() < 0.1:
            copy = Continuity()
            copy.load(json.loads(json.dumps(continuity.dump())))
            continuity = copy
    continuity.stopped(SOURCE, names[-1], {"sample": sizes[names[-1]]})
    # Every START again: in the shuffle one may have come before the epoch it closes was heard of.
    for place, name in enumerate(names[1:], 1):
        continuity.started(SOURCE, name, names[place - 1], {"sample": sizes[names[place - 1]]})
    assert fresh == len(records) - len(lost)
    missing = {(gap.epoch, seq) for gap in continuity.missing() for seq in range(gap.first, gap.last + 1)}
    assert missing == lost - declared
