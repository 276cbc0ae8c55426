"""Documents are held by tests: every counter, every command, every file that is linked."""

from __future__ import annotations

import importlib
import pkgutil
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import edge_agent
from edge_agent import counters
from edge_agent.bus.quality.diagnosis import RULES
from edge_agent.cli import COMMANDS, _parser, _view
from tests.conftest import ROOT

PACKAGE = ROOT / "edge_agent"
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_TOUCHES = re.compile(
    r"^\s*(?:import|from) (?:socket|ssl|fcntl|termios|tty|select|selectors|subprocess|signal|shutil)\b"
    r"|\bos\.(?:open|read|write|close|f?stat|unlink|eventfd|environ|listdir|scandir|readlink|kill)\b"
    r"|\.(?:read_text|read_bytes|write_text|write_bytes|mkdir|iterdir|glob|stat)\(",
    re.MULTILINE,
)

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


def test_every_hint_and_every_column_of_the_status_is_explained() -> None:
    text = (ROOT / "docs" / "status.md").read_text()
    hints = text[text.index("## Hints") : text.index("## Values")]
    assert re.findall(r"^\| `(\w+)` \|", hints, re.MULTILINE) == [rule.name for rule in RULES]
    explained = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert [one for one in _view._HEADINGS if one in explained] == list(_view._HEADINGS[1:])


def test_every_command_is_in_the_readme_and_has_a_description() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        parser = _parser([name])
        commands = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
        assert commands.choices is not None
        assert commands.choices[name].description, name  # type: ignore[index]
        assert f"edge-agent {name}" in readme or f"make {name}" in readme, name


def _is_there(name: str) -> bool:
    """From the top of the repository, or within the package, where `.py` may be left out."""
    name = name.rstrip("/")
    return any(any(place.glob(one)) for place in (ROOT, PACKAGE) for one in (name, f"{name}.py"))


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    """A backticked word is taken for a path when it begins with a folder of the repository."""
    folders = {one.name for place in (ROOT, PACKAGE) for one in place.iterdir() if one.is_dir()}
    for quoted in re.findall(r"`([^`\n]+)`", path.read_text()):
        for word in re.findall(r"(?:^|(?<= ))[\w.-]+(?:/[\w.*-]+)+/?(?= |$)", quoted):
            assert word.split("/")[0] not in folders or _is_there(word), word


def test_what_touches_the_outside_world_is_named_in_the_architecture() -> None:
    """By what a module imports; `os` counts where more of it is used than names and words."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paragraph = text[text.index("`daemon/`, `uplink/sender`") : text.index("## Threads and queues")]
    named = [name + "*" if name.endswith("/") else name for name in re.findall(r"`([^`]+)`", paragraph)]
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE).with_suffix(""))
        if _TOUCHES.search(path.read_text()) and not module.startswith("kernels/build/"):
            assert any(fnmatch(module, name) for name in named), module


def test_every_decision_is_listed_and_says_what_why_and_how_it_could_be_wrong() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d[^)]*)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
    for name in listed:
        text = (folder / name).read_text()
        for heading in ("**Decided.**", "**Why.**", "**Rejected.**", "**Wrong if**"):
            assert heading in text, f"{name}: {heading}"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target
