"""When a fault strikes, how it is written, and how the book changes while it is used."""

from __future__ import annotations

import contextlib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import InputError
from edge_agent.model import MonoNs
from edge_agent.simulator.control import ControlFile, parse_control
from edge_agent.simulator.faults import (
    FAULT_HELP,
    FAULT_WORDS,
    Fault,
    FaultBook,
    FaultKind,
    parse_assignment,
    parse_fault,
)

S = 1_000_000_000


def struck(book: FaultBook, times: list[float], device: str = "press") -> list[bool]:
    return [book.pick(device, MonoNs(round(t * S))) is not None for t in times]


def test_fault_strikes_always_by_default():
    book = FaultBook()
    book.set("press", "silence")
    assert struck(book, [0, 1, 1e6]) == [True] * 3
    assert struck(book, [0], "other") == [False]


def test_star_is_every_device():
    book = FaultBook()
    book.set("*", FaultKind.SILENCE)
    assert struck(book, [0], "a") == struck(book, [0], "b") == [True]


def test_duration_and_period_count_from_the_first_request():
    book = FaultBook()
    book.set("press", "silence:period=10s,duration=2s")
    assert struck(book, [100, 101.9, 102, 109.9, 110, 112]) == [True, True, False, False, True, False]


def test_duration_without_period_is_once():
    book = FaultBook()
    book.set("press", "silence:duration=2s")
    assert struck(book, [5, 6.9, 7, 1000]) == [True, True, False, False]


def test_limit_ends_it():
    book = FaultBook()
    book.set("press", "silence:limit=2")
    assert struck(book, [0, 1, 2, 3]) == [True, True, False, False]


def test_probability_is_kept_and_repeats_with_the_seed():
    def run(seed: int) -> list[bool]:
        book = FaultBook(seed)
        book.set("press", "silence:p=0.25")
        return struck(book, list(range(2000)))

    assert 0.2 < sum(run(1)) / 2000 < 0.3
    assert run(1) == run(1) != run(2)


def test_first_due_fault_strikes():
    book = FaultBook()
    book.set("press", "silence:limit=1", "late")
    kinds = [fault.kind for _ in range(2) if (fault := book.pick("press", MonoNs(0)))]
    assert kinds == [FaultKind.SILENCE, FaultKind.LATE]


def test_replacing_the_book_keeps_the_time_of_what_stays():
    book = FaultBook()
    fault = parse_fault("silence:duration=2s")
    book.set("press", fault)
    assert struck(book, [0]) == [True]
    book.replace({"press": (fault,), "meter": (parse_fault("late"),)})
    assert struck(book, [3]) == [False]
    book.replace({})
    assert book.in_force() == {}


def test_every_kind_has_a_text_and_every_field_a_word():
    assert set(FAULT_HELP) == set(FaultKind)
    assert {name for name, _ in FAULT_WORDS.values()} == {f.name for f in fields(Fault)} - {"kind"}


faults = st.builds(
    Fault,
    kind=st.sampled_from(FaultKind),
    p=st.integers(0, 8).map(lambda n: n / 8),
    period_ns=st.integers(0, 10**4).map(lambda n: n * 1_000_000),
    duration_ns=st.integers(0, 10**4).map(lambda n: n * 1_000_000),
    limit=st.integers(0, 1000),
    code=st.integers(1, 255),
    bytes=st.integers(1, 250),
    factor=st.sampled_from([(1.0, 3.0), (2.0, 2.0), (0.5, 1.5)]),
)


@given(faults)
def test_a_fault_reads_back_as_it_is_written(fault: Fault):
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("silense", "is not a fault"),
        ("late:p=2", "must be 0 to 1"),
        ("late:speed=2", "is not known"),
        ("late:timeout=5", "duration"),
        ("late:factor=3-1", "range"),
        ("glitch_before:bytes=0", "1 to 250"),
        ("exception:code=x", "1 to 255"),
        ("late:p=nan", "must be 0 to 1"),
    ],
)
def test_wrong_faults_are_refused_with_the_reason(text: str, words: str):
    with pytest.raises(InputError, match=words):
        parse_fault(text)


@given(st.text(max_size=40))
def test_any_text_is_a_fault_or_an_input_error(text: str):
    with contextlib.suppress(InputError):
        parse_assignment(text)


def test_control_file_names_lines_and_devices():
    text = "# nothing\npress=silence\npress=late:p=0.5  # twice\n*=echo\nline=unplug\n"
    control = parse_control(text, "c", ["press"])
    assert control.unplugged
    assert [fault.kind for fault in control.faults["press"]] == ["silence", "late"]
    with pytest.raises(InputError) as caught:
        parse_control("press=silence\npres=silence\npress=x\n", "c", ["press"])
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_control_file_is_read_when_it_changes(tmp_path):
    path = tmp_path / "control"
    control = ControlFile(path, ("press",))
    assert control.changed() is None
    path.write_text("press=silence\n")
    seen = control.changed()
    assert seen is not None
    assert list(seen.faults) == ["press"]
    assert control.changed() is None
    path.unlink()
    gone = control.changed()
    assert gone is not None
    assert gone.faults == {}
    assert control.changed() is None
