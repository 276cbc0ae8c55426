"""Bad configurations, one folder each, and exactly what a person is told about them.

EDGE_AGENT_UPDATE_CASES=1 writes what is told now into the folders; read the difference before it is
committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent import config
from edge_agent.cli.check import judge
from edge_agent.errors import InputError
from edge_agent.profiles import Library, load_site
from edge_agent.profiles.library import packaged
from tests.conftest import ROOT

CASES = ROOT / "tests" / "cases" / "config"
PROFILES = Library([packaged()])


def told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> InputError:
    monkeypatch.chdir(folder)
    with pytest.raises(InputError) as caught:
        load_site(Path("input.toml"), PROFILES, judge)
    return caught.value


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir()))
def test_every_problem_is_told_with_line_key_value_and_hint(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = told(CASES / name, monkeypatch)
    text = "\n".join(map(str, error.problems)) + "\n"
    expected = CASES / name / "expected.txt"
    if os.environ.get("EDGE_AGENT_UPDATE_CASES"):
        expected.write_text(text)
    assert text == expected.read_text()
    assert text.replace("\n", "").isprintable()
    lines = [problem.line for problem in error.problems]
    assert lines == sorted(lines), "in the order of the file"


def test_a_secret_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uplink", "uplink_secret_in_url"):
        assert "secret" not in str(told(CASES / name, monkeypatch))


def test_loading_without_profiles_tells_what_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "dangling_bus")
    with pytest.raises(InputError, match="is not a bus of this file"):
        config.load(Path("input.toml"))
