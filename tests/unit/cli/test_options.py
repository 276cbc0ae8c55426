"""An option that the chosen link cannot obey is refused: whoever gives it counts on it."""

from __future__ import annotations

import pytest

from edge_agent.cli import main, read

SERVER = ["--tcp", "192.0.2.7"]
TLS = ["--tls", "192.0.2.7", "--ca", "ca.pem"]
SERIAL = [["--baud", "300"], ["--format", "8N1"], ["--rs485"]]
OTHERS = [["--timeout", "10ms"], ["--framing", "rtu"], ["--ca", "x"], ["--cert", "x"], ["--key", "x"]]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    return err


@pytest.mark.parametrize("extra", SERIAL, ids=" ".join)
@pytest.mark.parametrize("link", [SERVER, TLS], ids=["tcp", "tls"])
def test_what_is_of_a_serial_line_is_refused_where_there_is_none(link, extra, capsys) -> None:
    said = refused(["read", *link, "--unit-id", "1", *extra, "0"], capsys)
    assert f"{extra[0]}: is for --port" in said


def test_a_speed_by_tcp_leads_to_the_framing_of_a_device_server(capsys) -> None:
    said = refused(["read", *SERVER, "--unit-id", "1", "--baud", "300", "0"], capsys)
    assert "--framing rtu" in said


@pytest.mark.parametrize("extra", SERIAL[1:], ids=" ".join)
def test_a_device_servers_own_setting_cannot_be_set_from_here(extra, capsys) -> None:
    said = refused(
        ["read", *SERVER, "--framing", "rtu", "--baud", "300", "--unit-id", "1", *extra, "0"], capsys
    )
    assert f"{extra[0]}: is for --port only" in said
    assert "--baud:" not in said
    assert "in the device server" in said


@pytest.mark.parametrize("extra", [*SERIAL, *OTHERS, ["--server-name", "x"]], ids=" ".join)
def test_the_running_agent_knows_its_lines(extra, capsys, monkeypatch) -> None:
    monkeypatch.setattr(read, "unit_id_of", lambda *_: 1)
    said = refused(["read", "--device", "press", *extra, "0"], capsys)
    assert f"{extra[0]}: is not given with --device" in said


@pytest.mark.parametrize("extra", [*SERIAL, ["--every-setting"]], ids=" ".join)
def test_a_search_by_tcp_has_no_speeds_to_try(extra, capsys) -> None:
    said = refused(["scan", "tcp://192.0.2.7", *extra], capsys)
    assert f"{extra[0]}: is for a serial port only" in said


def test_a_plan_asks_no_agent_but_for_what_it_measured(tmp_path, capsys) -> None:
    assert "--socket: is for --measured only" in refused(
        ["plan", str(tmp_path / "a"), "--socket", "x"], capsys
    )
