"""What is written is there whole or not at all, whatever fails on the way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.commissioning import files
from edge_agent.errors import EdgeAgentError
from tests.conftest import ROOT

DATE = "2026-11-29T12-00-00"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "agent.toml"


def write(config: Path, text: str = "new", password: str = "") -> Path | None:
    return files.write(config, text, date=DATE, password=password)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_the_first_configuration_makes_its_folder(config):
    assert write(config) is None
    assert contents(config.parent) == {"agent.toml": "new"}
    assert mode(config) == 0o640


def test_a_password_is_for_root_alone_and_never_in_the_configuration(config):
    write(config, password="geheim ü")
    path = files.password_path(config)
    assert path.read_text() == "geheim ü\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert "geheim" not in config.read_text()


def test_the_old_one_is_kept_as_it_was_with_the_date(config):
    write(config, "old")
    config.chmod(0o600)
    kept = write(config)
    assert kept is not None
    assert kept == config.with_name(f"agent.toml.{DATE}")
    assert contents(config.parent) == {"agent.toml": "new", kept.name: "old"}
    assert mode(kept) == 0o600


def test_two_in_one_second_keep_both(config):
    for text in ("first", "second", "third"):
        write(config, text)
    kept = {name: text for name, text in contents(config.parent).items() if name != "agent.toml"}
    assert sorted(kept.values()) == ["first", "second"]


CALLS: list[tuple[object, str]] = [
    (os, "fsync"),
    (os, "fchmod"),
    (os, "link"),
    (Path, "replace"),
]


@pytest.mark.parametrize(("owner", "name"), CALLS, ids=[name for _, name in CALLS])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_call_that_fails_leaves_the_old_one_or_the_new_one(config, monkeypatch, owner, name, nth):
    """A full disk, a folder without permission: the configuration is one of the two, whole, and no half
    file lies beside it."""
    write(config, "old", password="old secret")
    real: Callable[..., object] = getattr(owner, name)
    calls = 0

    def failing(*arguments: object, **keys: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(28, "No space left on device")
        return real(*arguments, **keys)

    monkeypatch.setattr(owner, name, failing)
    try:
        write(config, "new", password="new secret")
        failed = False
    except EdgeAgentError as error:
        failed = True
        assert "hint" in str(error)
    monkeypatch.undo()
    assert config.read_text() in (("old",) if failed and name != "fsync" else ("old", "new"))
    assert not list(config.parent.rglob(".*"))
    assert failed or calls < nth


KILLED = """
import os, pathlib, signal, sys
from edge_agent.commissioning import files
name, nth, config = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
owner = pathlib.Path if name == "replace" else os
real, calls = getattr(owner, name), 0
def deadly(*arguments, **keys):
    global calls
    calls += 1
    if calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **keys)
setattr(owner, name, deadly)
files.write(config, "new" * 1000, date="2026-11-29T12-00-00", password="new secret")
"""


@pytest.mark.parametrize("name", [name for _, name in CALLS])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_killed_at_any_step_the_configuration_is_the_old_one_or_the_new_one(config, name, nth):
    """Just before each call that changes the disk; the next run clears away what is left."""
    write(config, "old", password="old secret")
    ended = subprocess.run([sys.executable, "-c", KILLED, name, str(nth), str(config)], cwd=ROOT, check=False)
    assert ended.returncode in (0, -signal.SIGKILL)
    assert config.read_text() == ("old" if ended.returncode and (name, nth) not in AFTER else "new" * 1000)
    write(config, "last", password="last secret")
    assert not list(config.parent.rglob(".*"))


AFTER = {("fsync", 4)}
"""Of the folder, once the new one is in place."""


def test_what_a_killed_run_left_is_cleared_away(config):
    write(config, "old")
    left = config.parent / ".agent.toml.init-abcdefgh"
    left.write_text("half")
    write(config)
    assert not left.exists()


def test_what_an_editor_has_not_saved_yet_is_left_alone(config):
    write(config, "old")
    swap = config.parent / ".agent.toml.swp"
    swap.write_text("unsaved")
    write(config)
    assert swap.read_text() == "unsaved"


@pytest.mark.parametrize(
    "make", [Path.mkdir, lambda path: path.symlink_to("/dev/null")], ids=["folder", "link"]
)
def test_what_is_no_file_is_not_replaced_even_by_force(tmp_path, make):
    path = tmp_path / "agent.toml"
    make(path)
    with pytest.raises(EdgeAgentError, match="not a regular file"):
        files.refuse_if_unwritable(path, force=True)


def test_what_is_there_is_refused_before_anything_is_asked(config):
    files.refuse_if_unwritable(config, force=False)
    write(config)
    with pytest.raises(files.Exists, match="--force"):
        files.refuse_if_unwritable(config, force=False)
    files.refuse_if_unwritable(config, force=True)


def test_a_folder_that_may_not_be_written_is_refused_with_sudo(tmp_path, monkeypatch):
    """The folder that is there counts: the ones below it would be made. Root may write everywhere, so the
    system's answer is given for it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, wanted: path != folder)
    with pytest.raises(EdgeAgentError, match="sudo"):
        files.refuse_if_unwritable(folder / "deep" / "agent.toml", force=False)


@pytest.mark.parametrize(("flags", "hint"), [(os.ST_RDONLY, "read-only"), (0, "sudo")])
def test_a_disk_that_is_read_only_is_not_blamed_on_missing_rights(tmp_path, monkeypatch, flags, hint):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
    with pytest.raises(EdgeAgentError, match=f"hint: .*{hint}"):
        files.refuse_if_unwritable(tmp_path / "agent.toml", force=False)
