"""Single answers, by the readers that judge the file."""

from __future__ import annotations

import pytest

from edge_agent.commissioning import checks


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1", "mqtt://127.0.0.1"),
        ("localhost:1884", "mqtt://localhost:1884"),
        ("broker.example", "mqtts://broker.example"),
        ("mqtt://broker.example", "mqtt://broker.example"),
    ],
)
def test_a_broker_without_a_scheme_is_encrypted_unless_it_is_this_machine(typed, url):
    assert checks.url(typed) == url


@pytest.mark.parametrize("typed", ["", "http://x", "mqtt://u:p@x", "mqtt://x/topic", "x y", "mqtts://"])
def test_what_is_no_broker_is_refused(typed):
    with pytest.raises(ValueError):
        checks.url(typed)


@pytest.mark.parametrize("text", ["a b", "a/b", "+", "$sys", "", "x" * 65, "a\x1b[2J"])
def test_what_is_no_topic_level_is_refused(text):
    with pytest.raises(ValueError):
        checks.topic_level(text)


@pytest.mark.parametrize("text", ["0", "248", "1-248", "x", "1-3,2", "", "3-1"])
def test_unit_ids_are_those_of_the_standard(text):
    with pytest.raises(ValueError):
        checks.unit_ids(text)


@pytest.mark.parametrize(("text", "choice"), [("1", "a"), ("2", "b"), ("b", "b")])
def test_a_choice_is_by_number_or_by_itself(text, choice):
    assert checks.one_of(text, ["a", "b"]) == choice


@pytest.mark.parametrize("text", ["0", "3", "c", "", "\u0661"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(ValueError):
        checks.one_of(text, ["a", "b"])


@pytest.mark.parametrize("text", ["299", "4000001", "fast", "9600.0", "-1"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(ValueError):
        checks.speed(text)
