"""Options of `receive` that do not belong together are refused, all at once."""

from __future__ import annotations

import re

import pytest

from edge_agent.cli import _parser, main
from tests.conftest import ROOT

URL = ["receive", "--url", "mqtt://127.0.0.1:1"]
TO = [*URL, "--to", "sqlite:x.db"]


def _refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    return err


@pytest.mark.parametrize("option", [["--share", "g", "--client-id", "x"], ["--fill", "60"]], ids=" ".join)
def test_what_needs_a_database_says_so(option: list[str], capsys) -> None:
    assert "needs a database" in _refused([*URL, *option], capsys)


def test_a_receiver_of_a_group_has_a_name_of_its_own(capsys) -> None:
    said = _refused([*TO, "--share", "g"], capsys)
    assert "--client-id" in said and "keep the name" in said


def test_an_old_protocol_has_no_groups(capsys) -> None:
    said = _refused([*TO, "--share", "g", "--client-id", "x", "--protocol", "3.1.1"], capsys)
    assert "MQTT 3.1.1 has no shared subscriptions" in said


def test_a_database_is_the_state(capsys) -> None:
    assert "leave --state out" in _refused([*TO, "--state", "x"], capsys)


def test_everything_that_is_wrong_is_said_at_once(capsys) -> None:
    said = _refused([*URL, "--share", "a/b", "--site", "#", "--fill", "1"], capsys)
    assert said.count("command line: ") == 5 and "5 problems" in said


def test_what_the_document_says_of_options_is_true() -> None:
    text = (ROOT / "docs" / "receiver.md").read_text()
    documented = re.findall(r"^\| `(--[a-z-]+)` \|", text, re.MULTILINE)
    assert {"--to", "--share", "--fill", "--ack"} <= set(documented)
    values: dict[str, list[str]] = {"--ack": [], "--partition": ["day"], "--fill": ["1"]}
    for option in {*documented, *re.findall(r"`(--[a-z-]+)`", text)}:
        _parser([*URL]).parse_args([*URL, option, *values.get(option, ["x"])])
    for command in re.findall(r"^    edge-agent (receive .*)$", text, re.MULTILINE):
        _parser(command.split()).parse_args(command.split())
