"""Which version the launcher starts: a complete one, and its own first."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PYTHON = Path("/usr/bin/python3")

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the launcher is for Debian's python3")


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    path = tmp_path / "usr/bin/edge-agent"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / "packaging/debian/launcher").read_text().replace("@VERSION@", "2.0"))
    path.chmod(0o755)
    (tmp_path / "usr/lib/edge-agent").mkdir(parents=True)
    return path


def version(launcher: Path, name: str, *, complete: bool = True) -> Path:
    folder = launcher.parent.parent / "lib/edge-agent" / name
    (folder / "edge_agent/cli").mkdir(parents=True)
    (folder / "edge_agent/__init__.py").touch()
    text = f"import sys\ndef main():\n    print({name!r}, *sys.argv[1:])\n    return 7\n"
    (folder / "edge_agent/cli/__init__.py").write_text(text)
    if complete:
        (folder / "zz-complete").touch()
    return folder


def run(launcher: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run((launcher, *arguments), capture_output=True, text=True, **options)


def test_it_runs_its_own_version_with_arguments_and_exit_status(launcher: Path) -> None:
    version(launcher, "1.0")
    version(launcher, "2.0")
    version(launcher, "3.0")
    done = run(launcher, "status", "--json")
    assert (done.stdout, done.returncode) == ("2.0 status --json\n", 7)


@pytest.mark.parametrize("other", ["1.0", "3.0", "2.0~rc1"])
def test_while_its_own_is_not_complete_it_runs_the_other(launcher: Path, other: str) -> None:
    version(launcher, other)
    version(launcher, "2.0", complete=False)
    assert run(launcher).stdout == f"{other}\n"


def test_without_a_complete_version_it_says_so(launcher: Path) -> None:
    version(launcher, "2.0", complete=False)
    done = run(launcher)
    assert done.returncode == 1
    assert "no complete version" in done.stderr and "hint:" in done.stderr


def test_neither_environment_nor_folder_nor_site_changes_what_is_imported(
    launcher: Path, tmp_path: Path
) -> None:
    folder = version(launcher, "2.0")
    trap = tmp_path / "trap"
    (trap / "edge_agent").mkdir(parents=True)
    for name in ("edge_agent/__init__.py", "argparse.py", "sitecustomize.py", "usercustomize.py"):
        (trap / name).write_text("raise SystemExit('trapped')\n")
    code = "import argparse, sys\ndef main():\n    print('site' in sys.modules, *sys.path, sep='\\n')\n"
    (folder / "edge_agent/cli/__init__.py").write_text(code)
    environment = {
        "PYTHONPATH": str(trap),
        "PYTHONHOME": str(trap),
        "PYTHONSTARTUP": str(trap / "argparse.py"),
    }
    done = run(launcher, cwd=trap, env=environment)
    assert done.stderr == ""
    site, *path = done.stdout.splitlines()
    assert site == "False"
    assert path[:2] == [str(folder), str(folder / "vendor")]
    assert path[-1] == "/usr/lib/python3/dist-packages"
    assert not [entry for entry in path if "local" in entry or not entry]


def test_it_leaves_no_compiled_file_behind(launcher: Path, tmp_path: Path) -> None:
    version(launcher, "2.0")
    run(launcher)
    assert not list(tmp_path.rglob("*.pyc"))
