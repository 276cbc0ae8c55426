"""The copy by which the helper runs: whole, on the disk before it has its name, and the launcher runs it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import UpdateError
from edge_agent.update import program
from edge_agent.update.machine import Phase
from edge_agent.update.store import Result, Store
from tests.conftest import ROOT
from tests.unit.update.orders import NEW, OLD, order

UNIT = ROOT / "packaging/files/usr/lib/systemd/system/edge-agent-update.service"


class PowerCut(BaseException):
    """At one act. What was written stays."""


def installed_program(usr: Path) -> Path:
    """A version that says its arguments, as a package installs it."""
    folder = usr / "lib/edge-agent/1.0.0"
    (folder / "edge_agent/cli/__pycache__").mkdir(parents=True)
    (folder / "edge_agent/update").mkdir()
    (folder / "vendor/paho").mkdir(parents=True)
    (folder / "edge_agent/__init__.py").touch()
    text = "import sys\ndef main():\n    print('1.0.0', *sys.argv[1:])\n    return 7\n"
    (folder / "edge_agent/cli/__init__.py").write_text(text)
    (folder / "edge_agent/cli/__pycache__/__init__.cpython-311.pyc").write_bytes(b"half")
    (folder / "vendor/paho/__init__.py").write_text("x = 1\n" * 1000)
    (folder / program.MARK).touch()
    (usr / "bin").mkdir()
    launcher = (ROOT / "packaging/debian/launcher").read_text()
    (usr / "bin/edge-agent").write_text(launcher.replace("@VERSION@", "1.0.0"))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return installed_program(tmp_path / "usr")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "update")
    made.prepare()
    return made


def copies(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.glob("program*"))


def test_the_copy_is_run_as_the_unit_does_whatever_is_installed_then(store, installed) -> None:
    program.keep(store, installed)
    shutil.rmtree(installed.parents[2])
    (start,) = [line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    python, *arguments = start.removeprefix("ExecStart=").split()
    command = [word.replace("/var/lib/edge-agent-update", str(store.folder)) for word in arguments]
    assert python == "/usr/bin/python3" and command != arguments
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("1.0.0 update --helper\n", 7), done.stderr


def test_it_has_every_file_but_what_python_compiled(store, installed) -> None:
    program.keep(store, installed)
    assert files(store.folder / "program") == files(installed.parents[2])
    assert not list(store.folder.rglob("__pycache__"))


def test_its_size_is_that_of_its_files_in_blocks(installed) -> None:
    assert program.size(installed) == 4096 + 4096 + 8192  # launcher, cli, vendor; the rest is empty


@pytest.mark.parametrize("gone", ["lib/edge-agent/1.0.0/zz-complete", "bin/edge-agent"])
def test_only_the_program_of_a_package_is_copied(installed, monkeypatch, gone: str) -> None:
    monkeypatch.setattr(program, "__file__", str(installed / "edge_agent/update/program.py"))
    assert program.running() == installed
    (installed.parents[2] / gone).unlink()
    with pytest.raises(UpdateError, match="is not the installed program"):
        program.running()


def test_a_checkout_is_not_the_program_of_a_package() -> None:
    with pytest.raises(UpdateError, match="hint: use /usr/bin/edge-agent"):
        program.running()


def test_the_mark_is_copied_last(store, installed, monkeypatch) -> None:
    copied: list[str] = []
    real = shutil.copyfile

    def copy(source: Path, target: Path) -> None:
        copied.append(source.name)
        real(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy)
    (installed / "zzz-later").touch()
    program.keep(store, installed)
    assert copied.index(program.MARK) == len(copied) - 1 > 3


def test_all_of_it_is_on_the_disk_before_it_has_its_name(store, installed, monkeypatch) -> None:
    synced: set[int] = set()
    at_rename: list[set[int]] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        real_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        at_rename.append(set(synced))
        synced.clear()
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    program.keep(store, installed)
    copy = store.folder / "program"
    assert at_rename == [{path.stat().st_ino for path in (copy, *copy.rglob("*"))}]
    assert synced == {store.folder.stat().st_ino}, "its name too, before an order is written"


def cut_at(act: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power goes before that act is done, or in the middle where it is a copy."""
    acts = iter(range(10_000))

    def counted(real: Callable[..., Any], half: Callable[..., Any] = lambda *_: None) -> Callable[..., Any]:
        def does(*arguments: Any, **options: Any) -> Any:
            if next(acts) == act:
                half(*arguments)
                raise PowerCut
            return real(*arguments, **options)

        return does

    def half(source: Path, target: Path) -> None:
        data = source.read_bytes()
        target.write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(shutil, "copyfile", counted(shutil.copyfile, half))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    for name in ("mkdir", "rename"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


def test_a_cut_at_any_act_leaves_a_whole_copy_or_none_and_the_next_order_makes_it_again(
    store, installed, monkeypatch
) -> None:
    whole = files(installed.parents[2])
    unfinished = 0
    for act in range(1000):
        try:
            with monkeypatch.context() as cut:
                cut_at(act, cut)
                program.keep(store, installed)
            break
        except PowerCut:
            unfinished += copies(store) == ["program.new"]
            assert store.load() is None
            assert not (store.folder / "program").exists() or files(store.folder / "program") == whole
        store.clear(keep=[])
        assert copies(store) == []
        program.keep(store, installed)
        assert files(store.folder / "program") == whole
        store.clear(keep=[])
    else:
        raise AssertionError("it never ends")
    assert act > 20 and unfinished > 10
    assert copies(store) == ["program"]


def test_a_full_disk_is_an_error_and_leaves_nothing(store, installed, monkeypatch) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UpdateError, match="No space left"):
        program.keep(store, installed)
    assert copies(store) == []


def test_it_is_there_until_the_update_is_over(store, installed) -> None:
    program.keep(store, installed)
    for phase in (Phase.STAGED, Phase.WATCHING, Phase.PUTTING_BACK):
        store.save(order(phase=phase))
        assert copies(store) == ["program"]
    update = order(phase=Phase.KEPT)
    store.finish(Result(update=update, ended_s=5.0, installed=NEW, previous=OLD))
    assert copies(store) == []
