"""The command: what it asks of its options, what it says, and its exit status."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from edge_agent import service
from edge_agent.cli import _update_view, main
from edge_agent.daemon import systemd
from edge_agent.update import staging
from edge_agent.update import store as store_module
from edge_agent.update.machine import Phase, Update
from edge_agent.update.store import Result, Store
from tests.unit.update.orders import NEW, OLD, order


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Root's own, in a folder of the test."""
    made = Store(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(store_module, "Store", lambda: made)
    # Of the whole process, as the helper sets them.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(systemd, "setup_logging", lambda: None)
    return made


def ended(store: Store, phase: Phase, *reasons: str) -> None:
    kept = phase is Phase.KEPT
    installed, previous = (NEW, OLD) if kept else (OLD, None)
    update = order(phase=phase, reasons=reasons)
    store.finish(Result(update=update, ended_s=1.7e9, installed=installed, previous=previous))


@pytest.mark.parametrize("text", ["", "soon", "4s", "61m", "-1s", "0s"])
def test_a_time_to_watch_that_is_none_is_refused(store, capsys, text: str) -> None:
    assert main(["update", "x.deb", f"--watch={text}"]) == 2
    assert "--watch" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["x.deb"], ["--status"], ["--rollback"], ["--helper"]])
def test_only_root_may(store, monkeypatch, capsys, arguments: list[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["update", *arguments]) == 1
    assert "hint: sudo edge-agent update" in capsys.readouterr().err


def test_where_systemd_does_not_run_apt_is_named(store, monkeypatch, capsys) -> None:
    monkeypatch.setattr(service, "is_managed", lambda: False)
    assert main(["update", "x.deb"]) == 1
    assert "hint: sudo apt install ./FILE" in capsys.readouterr().err


def test_a_second_update_is_refused_while_one_is_under_way(store, monkeypatch, capsys) -> None:
    monkeypatch.setattr(service, "is_managed", lambda: True)
    started: list[str] = []
    monkeypatch.setattr(service, "start_unattended", started.append)
    store.save(order(phase=Phase.WATCHING))
    with store.locked():
        assert main(["update", "x.deb"]) == 1
    assert "another update is under way" in capsys.readouterr().err
    assert started == []
    assert main(["update", "x.deb"]) == 1, "an order whose unit was never started is not waited for for ever"
    assert "another update is under way" in capsys.readouterr().err
    assert started == ["edge-agent-update.service"]


def test_an_order_that_is_damaged_does_not_stop_the_next_one(store, monkeypatch, capsys) -> None:
    monkeypatch.setattr(service, "is_managed", lambda: True)
    monkeypatch.setattr(staging, "stage", lambda *_, **__: None)
    (store.folder / "update.json").write_text("{")
    assert main(["update", "x.deb"]) == 0
    said = capsys.readouterr()
    assert "set aside" in said.err and "nothing to do" in said.out
    assert store.load() is None


def test_without_an_earlier_version_there_is_no_way_back(store, monkeypatch, capsys) -> None:
    monkeypatch.setattr(service, "is_managed", lambda: True)
    assert main(["update", "--rollback"]) == 1
    assert "no earlier version is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("phase", "status", "said"),
    [
        (Phase.KEPT, 0, "kept: 1.1.0 runs"),
        (Phase.PUT_BACK, 1, "put back: 1.1.0 was not kept, 1.0.0 runs again"),
        (Phase.FAILED, 1, "failed"),
    ],
)
def test_how_the_last_one_ended_is_told(store, capsys, phase: Phase, status: int, said: str) -> None:
    ended(store, phase, "the service is not active")
    assert main(["update", "--status"]) == status
    out = capsys.readouterr().out
    assert said in out and "the service is not active" in out
    assert main(["update", "--status", "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert (document["phase"], document["reasons"]) == (str(phase), ["the service is not active"])


def test_that_there_was_none_is_told(store, capsys) -> None:
    assert main(["update", "--status"]) == 0
    assert capsys.readouterr().out == "no update was made\n"
    assert main(["update", "--status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"phase": "none"}


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_words(phase: Phase) -> None:
    assert "1." in _update_view.doing(order(phase=phase))


def test_what_is_under_way_is_told_with_what_it_waits_for(store, capsys) -> None:
    store.save(order(notes=("apt-get (process 7) uses dpkg",)))
    assert main(["update", "--status"]) == 0
    out = capsys.readouterr().out
    assert "under way since" in out and "apt-get (process 7) uses dpkg" in out


def test_the_unit_has_nothing_to_do_without_an_order(store) -> None:
    assert main(["update", "--helper"]) == 0


def test_an_order_that_cannot_be_understood_is_set_aside(store) -> None:
    (store.folder / "update.json").write_text("{")
    assert main(["update", "--helper"]) == 0
    assert not (store.folder / "update.json").exists()
    assert (store.folder / "update.json.damaged").exists()


def test_what_follows_is_said_once(tmp_path: Path) -> None:
    from edge_agent.clock import FakeClock

    with (tmp_path / "terminal").open("w+") as stream:
        following = _update_view.Following(stream, FakeClock())
        updates: list[Update] = [
            order(),
            order(notes=("apt uses dpkg",)),
            order(notes=("apt uses dpkg",)),
            order(phase=Phase.INSTALLING),
            order(phase=Phase.PUTTING_BACK, reasons=("it crashed",)),
            order(phase=Phase.PUTTING_BACK, reasons=("it crashed",)),
        ]
        for update in updates:
            following.show(update)
        stream.seek(0)
        assert stream.read().splitlines() == [
            "1.1.0 is checked, 1.0.0 is kept to be put back",
            "  not yet: apt uses dpkg",
            "installing 1.1.0",
            "  it crashed",
            "putting 1.0.0 back",
        ]
