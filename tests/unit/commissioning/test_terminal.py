"""Questions: the default, what is refused, and the end of the input."""

from __future__ import annotations

import io

import pytest

from edge_agent.commissioning import terminal
from edge_agent.commissioning.terminal import Ended, Nobody, Somebody
from edge_agent.errors import InputError


def number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("is no number")
    return int(text)


def somebody(typed: str) -> tuple[Somebody, io.StringIO]:
    out = io.StringIO()
    return Somebody(io.StringIO(typed), out), out


def test_enter_takes_the_default_which_is_shown():
    person, out = somebody("\n")
    assert person.ask("How many", number, default="3", option="--count") == 3
    assert out.getvalue() == "How many [3]: "


def test_a_wrong_answer_is_said_and_asked_again():
    person, out = somebody("many\n\n7\n")
    assert person.ask("How many", number, option="--count") == 7
    assert out.getvalue().splitlines() == [
        "How many:   is no number",
        "How many:   an answer is needed",
        "How many: ",
    ]


@pytest.mark.parametrize(
    ("typed", "answer"), [("\n", True), ("n\n", False), ("Y\n", True), ("x\nno\n", False)]
)
def test_yes_and_no(typed, answer):
    person, _ = somebody(typed)
    assert person.agree("Go on?", default=True) is answer


@pytest.mark.parametrize("typed", ["", "x"])
def test_the_end_of_the_input_is_no_answer(typed):
    """`x` without a newline is one; what comes after it is the end."""
    person, _ = somebody(typed)
    with pytest.raises(Ended):
        while True:
            person.ask("How many", number, default="" if typed else "3", option="--count")


def test_a_default_from_outside_cannot_drive_the_terminal():
    person, out = somebody("1\n")
    person.ask("How many", number, default="\x1b[2J", option="--count")
    assert "\x1b" not in out.getvalue()


def test_nobody_takes_defaults_and_names_the_option_of_what_has_none():
    person = Nobody(io.StringIO())
    assert person.ask("How many", number, default="3", option="--count") == 3
    assert person.agree("Go on?", default=True)
    with pytest.raises(InputError, match="--count") as refused:
        person.ask("How many", number, option="--count")
    assert refused.value.exit_status == 2


def test_texts_of_any_length_fit_eighty_columns():
    person, out = somebody("")
    terminal.told(person, "word " * 60 + "x" * 200)
    assert all(len(line) < 80 for line in out.getvalue().splitlines())
