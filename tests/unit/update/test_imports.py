"""The copy of the program by which the helper runs is gone at its end: it has to have everything by then."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.conftest import ROOT


def _loaded() -> list[str]:
    """Modules of the program that the helper's start loads."""
    program = (
        "import sys, edge_agent.update.unit; print(*(m for m in sys.modules if m.startswith('edge_agent')))"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def _late_imports(module: str) -> list[str]:
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inner = [node for function in functions for node in ast.walk(function)]
    return [
        f"{module}: {ast.unparse(node)}"
        for node in inner
        if isinstance(node, ast.Import | ast.ImportFrom) and "edge_agent" in ast.unparse(node)
    ]


def test_the_helper_imports_nothing_of_the_program_once_it_runs() -> None:
    loaded = [name for name in _loaded() if not name.startswith(("edge_agent.kernels", "edge_agent.bus"))]
    assert "edge_agent.update.helper" in loaded and "edge_agent.service" in loaded
    assert [late for name in loaded for late in _late_imports(name)] == []


def test_this_finds_late_imports() -> None:
    assert _late_imports("edge_agent.cli.update")


def test_the_helper_is_small() -> None:
    """Whatever it loads may change under it: neither the kernels nor the buses are among it."""
    assert not [name for name in _loaded() if name.startswith(("edge_agent.kernels", "edge_agent.bus"))]
