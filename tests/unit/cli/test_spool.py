"""`edge-agent spool` on a spool of a stopped agent, and on one that an agent uses."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records import codec
from edge_agent.spool import Limits, Spool
from edge_agent.spool.files import OsFiles
from tests.conftest import ROOT

OLD = ROOT / "tests" / "fixtures" / "spool-0.1.0"
RECORDS = len(json.loads((OLD / "expected.json").read_text())["records"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(OLD / "spool", tmp_path / "spool")
    return tmp_path / "spool"


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> Any:
    assert main(["spool", *map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def _open(folder: Path) -> Spool:
    limits = Limits(max_bytes=64 << 20, min_free_bytes=0)
    return Spool(folder, b"\xee" * 8, limits=limits, counters=Counters())


def _tree(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def test_status_counts_what_is_stored_and_unsent(folder, capsys) -> None:
    found = said(capsys, "status", "--path", folder)
    assert sum(one["stored"] for one in found["streams"].values()) == RECORDS
    assert found["streams"]["sample"]["stored"] - found["streams"]["sample"]["unsent"] == 30
    assert (found["dictionaries"], found["undeclared_losses"], found["quarantined"]) == (2, 1, 0)
    assert main(["spool", "status", "--path", str(folder)]) == 0
    assert "UNSENT" in capsys.readouterr().out


def test_verify_finds_nothing_in_a_whole_spool_and_changes_nothing(folder, capsys) -> None:
    before = _tree(folder)
    found = said(capsys, "verify", "--path", folder)
    assert (found["damage"], sum(found["records"].values())) == ([], RECORDS)
    assert main(["spool", "verify", "--path", str(folder)]) == 0
    assert "no damage" in capsys.readouterr().out
    assert _tree(folder) == before


def test_verify_names_file_and_offset_of_every_damage(folder, capsys) -> None:
    path = sorted((folder / "sample").iterdir())[0]
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)
    (folder / "alarm" / "stranger.seg").write_bytes(b"?")
    birth = next((folder / "births").iterdir())
    birth.write_bytes(birth.read_bytes()[:-1])
    (folder / "losses").write_bytes(bytes(100))
    found = said(capsys, "verify", "--path", folder, status=1)
    damage = {one["file"]: one for one in found["damage"]}
    assert set(damage) == {
        str(path), str(folder / "alarm" / "stranger.seg"), str(birth), str(folder / "losses")
    }  # fmt: skip
    assert 3000 - 600 < damage[str(path)]["offset"] <= 3000
    assert "is damaged" in damage[str(path)]["what"]
    assert main(["spool", "verify", "--path", str(folder)]) == 1
    assert f"{path}: {damage[str(path)]['offset']}: record" in capsys.readouterr().out


def test_verify_and_status_go_on_where_a_sector_cannot_be_read(folder, capsys, monkeypatch) -> None:
    birth = next((folder / "births").iterdir())
    bad = {folder / "cursors", folder / "losses", birth}
    _failing(monkeypatch, bad, errno.EIO)
    found = said(capsys, "verify", "--path", folder, status=1)
    assert {one["file"] for one in found["damage"]} == set(map(str, bad))
    found = said(capsys, "status", "--path", folder)
    assert sum(one["stored"] for one in found["streams"].values()) == RECORDS


@pytest.mark.parametrize("order", ["status", "verify", "export"])
def test_a_file_that_may_not_be_read_is_an_error_with_a_hint(folder, capsys, monkeypatch, order: str) -> None:
    path = sorted((folder / "event").iterdir())[-1]
    _failing(monkeypatch, {path}, errno.EACCES)
    assert main(["spool", order, "--path", str(folder)]) != 0
    assert f"{path}: Permission denied\n    hint: use sudo" in capsys.readouterr().err


def _failing(monkeypatch: pytest.MonkeyPatch, paths: set[Path], code: int) -> None:
    whole = OsFiles.read

    def read(self: OsFiles, path: Path, offset: int = 0, size: int = -1) -> bytes:
        if path in paths:
            raise OSError(code, os.strerror(code), str(path))
        return whole(self, path, offset, size)

    monkeypatch.setattr(OsFiles, "read", read)


def test_a_missing_segment_is_damage_of_the_one_before_it(folder, capsys) -> None:
    sorted((folder / "sample").iterdir())[1].unlink()
    [one] = said(capsys, "verify", "--path", folder, status=1)["damage"]
    assert one["what"].startswith("records ")


def test_export_writes_every_record_behind_its_length(folder, tmp_path, capsys) -> None:
    target = tmp_path / "records"
    assert main(["spool", "export", "--path", str(folder), "--output", str(target)]) == 0
    data, found = target.read_bytes(), []
    while data:
        size = int.from_bytes(data[:4])
        head = codec.decode(data[4 : 4 + size])[0]
        found.append((head.epoch.hex(), head.stream, head.seq))
        data = data[4 + size :]
    expected = json.loads((OLD / "expected.json").read_text())["records"]
    assert sorted(found) == sorted((epoch, stream, seq) for epoch, stream, seq, *_ in expected)
    assert found[0][1:] == ("event", 1)
    assert main(["spool", "export", "--path", str(folder), "--output", str(target)]) == 1
    assert "choose a name that is not taken" in capsys.readouterr().err


def test_export_as_json_says_what_a_receiver_would(folder, capfdbinary) -> None:
    arguments = ["spool", "export", "--path", str(folder), "--json", "--unsent", "--stream", "sample"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert {(one["kind"], one["site"], one["agent"]) for one in lines} == {
        ("sample", "plant-a", "press-hall-1")
    }
    first = lines[0]
    assert (first["device"], first["seq"], first["unit"]) == ("press", 31, "bar")


def test_purge_of_a_stopped_agent_is_declared_and_recorded_by_its_next_run(
    folder, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["spool", "purge", "--path", str(folder)]) == 1
    assert "--yes" in capsys.readouterr().err
    found = said(capsys, "purge", "--path", folder, "--yes", "--stream", "sample")
    assert found["purged"]["sample"] > 100
    spool = _open(folder)
    losses = spool.take_losses()
    assert sum(x.count for x in losses if x.reason == "purged") == found["purged"]["sample"]
    assert spool.read("sample") == []
    assert spool.read("summary") != []
    [audit] = spool.orders.load()
    assert (audit.what, audit.result) == ("spool purge", "done")
    assert audit.who.startswith("local uid")
    spool.close(MonoNs(0))


def test_a_purge_that_cannot_be_recorded_does_nothing(folder, capsys, monkeypatch) -> None:
    write = OsFiles.write_at

    def full(self: OsFiles, fd: int, data: bytes, offset: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().name == "orders":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, fd, data, offset)

    before = said(capsys, "status", "--path", folder)["streams"]
    monkeypatch.setattr(OsFiles, "write_at", full)
    assert main(["spool", "purge", "--path", str(folder), "--yes"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert said(capsys, "status", "--path", folder)["streams"] == before


def test_a_purge_that_is_killed_is_recorded_as_begun(folder, monkeypatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "purge", killed)
    assert main(["spool", "purge", "--path", str(folder), "--yes", "--stream", "alarm"]) == 130
    spool = _open(folder)
    [audit] = spool.orders.load()
    assert (audit.what, audit.result, audit.detail) == ("spool purge", "begun", "alarm")
    spool.close(MonoNs(0))


def test_purge_of_a_spool_in_use_asks_its_agent_and_touches_nothing(folder, tmp_path, capsys) -> None:
    spool = _open(folder)
    before = spool.unacked("sample")
    arguments = ["spool", "purge", "--path", str(folder), "--yes", "--socket", str(tmp_path / "no.sock")]
    assert main(arguments) == 1
    assert "no running agent answers" in capsys.readouterr().err
    assert spool.unacked("sample") == before
    spool.close(MonoNs(0))


def test_a_path_without_a_spool_is_an_error_with_a_hint(tmp_path, capsys) -> None:
    for order in ("status", "verify", "export", "purge"):
        assert main(["spool", order, "--path", str(tmp_path)]) == 1
        assert "hint: --path DIR" in capsys.readouterr().err
