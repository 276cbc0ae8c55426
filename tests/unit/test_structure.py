"""The structure is held by tests: import order, no cycles, one door per third-party package."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.cli import COMMANDS
from tests.conftest import ROOT

PACKAGE = ROOT / "edge_agent"

# A line imports only from lines above it (and from itself).
ORDER = [
    {"__init__", "model", "errors"},
    {"clock", "counters"},
    {"heartbeat"},
    {"config"},
    {"profiles"},
    {"kernels"},
    {"bus"},
    {"process"},
    {"records"},
    {"spool"},
    {"uplink"},
    {"receiver"},
    {"simulator"},
    {"daemon"},
    {"demo"},
    {"service"},
    {"commissioning", "doctor", "update"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

# The same within layers that have folders; modules not named here come last.
WITHIN = {
    "bus": ["outcomes", "wire", "line", "ports", "lines", "schedule", "plan", "device", "quality", "scan"],
    "uplink": ["topics", "reasons", "payloads", "outbox", "connection", "sending"],
    "doctor": [
        "findings",
        "access",
        "configuration",
        "unit",
        "ports",
        "adapters",
        "servers",
        "timekeeping",
        "disk",
        "certificates",
        "broker",
        "running",
        "versions",
        "show",
        "probes",
    ],
}

# Every third-party package enters the program through these files only.
DOORS = {
    "serial": {"bus/ports/port.py"},
    "paho": {"uplink/connection/mqtt.py"},
    "msgpack": {"records/pack.py"},
    "tomli": {"config/toml.py"},
    "psycopg": {"receiver/database/postgresql.py"},
    "systemd": {"daemon/systemd.py"},
    "cryptography": {"doctor/probes/x509.py"},
}


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_layers_above_it(path: Path) -> None:
    own = RANK[_layer(path)]
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "edge_agent":
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in RANK else "__init__"
        assert RANK[other] <= own, f"{path.relative_to(ROOT)} imports {name}, which stands below it"


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_parts_of_its_layer_above_it(path: Path) -> None:
    layer, *rest = path.relative_to(PACKAGE).parts
    rank = {name: place for place, name in enumerate(WITHIN.get(layer, ()))}
    own = rank.get(rest[0].removesuffix(".py"), len(rank)) if rest else len(rank)
    for name in _imports(path):
        if rank and name.startswith(f"edge_agent.{layer}."):
            other = name.split(".")[2]
            assert rank.get(other, len(rank)) <= own, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_third_party_packages_enter_by_their_door(path: Path) -> None:
    place = str(path.relative_to(PACKAGE))
    for name in _imports(path):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top == "edge_agent":
            continue
        if place.startswith("kernels/build/") or place == "kernels/jit.py":
            assert top in {"numba", "llvmlite", "numpy"}, f"{place} imports {top}"
        else:
            assert place in DOORS.get(top, set()), f"{place} imports {top}"


def test_every_command_has_a_file_and_a_help_text() -> None:
    files = {path.stem for path in (PACKAGE / "cli").glob("*.py") if not path.stem.startswith("_")}
    assert files == set(COMMANDS)


def test_what_is_wrong_with_options_is_said_in_one_place() -> None:
    sources = [path for path in (PACKAGE / "cli").glob("*.py") if '"command line"' in path.read_text()]
    assert [path.name for path in sources] == ["_problems.py"]


def test_every_package_says_what_it_owns() -> None:
    for path in _sources():
        if path.name == "__init__.py":
            documentation = ast.get_docstring(ast.parse(path.read_text()))
            assert documentation, f"{path.relative_to(ROOT)} has no docstring"
    for folder in PACKAGE.iterdir():
        if folder.is_dir() and any(folder.glob("*.py")):
            assert (folder / "__init__.py").exists(), f"{folder} has no __init__.py"
