"""The name that survives a replug is found, and only offered in place of a numbered one."""

from __future__ import annotations

from pathlib import Path

from edge_agent.bus.ports import by_id, port_faults


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "by-id"
    made.mkdir()
    (made / "usb-FTDI_A1-if00-port0").symlink_to("/dev/null")
    (made / "usb-1a86_B2-if00-port0").symlink_to("/dev/zero")
    return made


def test_a_numbered_port_has_a_better_name(tmp_path):
    links = folder(tmp_path)
    assert by_id.better_name("/dev/null", links) == str(links / "usb-FTDI_A1-if00-port0")
    assert by_id.better_name("/dev/full", links) == ""
    assert by_id.better_name("/dev/ttyUSB99", links) == ""


def test_a_link_is_a_good_name_already(tmp_path):
    links = folder(tmp_path)
    assert by_id.better_name(str(links / "usb-FTDI_A1-if00-port0"), links) == ""


def test_without_the_folder_there_is_nothing_to_offer(tmp_path):
    assert by_id.present(tmp_path / "none") == []
    assert by_id.better_name("/dev/null", tmp_path / "none") == ""


def test_a_missing_port_is_told_with_what_is_plugged_in(tmp_path, monkeypatch):
    missing = FileNotFoundError(2, "No such file or directory")
    monkeypatch.setattr(by_id, "FOLDER", tmp_path / "none")
    assert "is empty" in port_faults.refused("/dev/ttyUSB0", missing).hint
    monkeypatch.setattr(by_id, "FOLDER", folder(tmp_path))
    hint = port_faults.refused("/dev/ttyUSB0", missing).hint
    assert "usb-FTDI_A1-if00-port0" in hint
    assert "usb-1a86_B2-if00-port0" in hint
