"""Documents are held by tests: every counter, every command, every file that is linked."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import edge_agent
from edge_agent import counters
from edge_agent.cli import COMMANDS, _parser
from tests.conftest import ROOT

MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_NOT_THE_DAEMONS = ("edge_agent.kernels.build", "edge_agent.kernels.jit", "edge_agent.__main__")


def _import_everything() -> None:
    for module in pkgutil.walk_packages(edge_agent.__path__, "edge_agent."):
        if not module.name.startswith(_NOT_THE_DAEMONS):
            importlib.import_module(module.name)


def test_every_counter_is_documented_with_its_help_text() -> None:
    _import_everything()
    text = (ROOT / "docs" / "counters.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)(?:\{[^}]*\})?` \| (.*) \|$", text, re.MULTILINE))
    assert rows == {name: declaration.help for name, declaration in counters.DECLARED.items()}


def test_every_command_is_in_the_readme_and_has_a_description() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        parser = _parser([name])
        commands = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
        assert commands.choices is not None
        assert commands.choices[name].description, name  # type: ignore[index]
        assert f"edge-agent {name}" in readme or f"make {name}" in readme, name


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target
