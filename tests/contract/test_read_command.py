"""`edge-agent read` against a slave on a pseudo-terminal and on TCP: values, and why there are none."""

from __future__ import annotations

import json
import os
import struct

import pytest

from edge_agent.bus.ports import port as port_module
from edge_agent.cli import main
from edge_agent.clock import SystemClock
from edge_agent.model import SerialLink
from tests.contract import framings
from tests.contract.bus_slaves import PtySlave, TcpSlave
from tests.contract.certificates import Authority
from tests.contract.rigs import server_context


@pytest.fixture
def slave():
    made = PtySlave()
    yield made
    made.close()


@pytest.fixture
def read(slave, capsys):
    def run(*words: str, unit: int = 1) -> tuple[int, str, str]:
        where = ["--port", slave.path, "--baud", "115200", "--unit-id", str(unit), "--timeout", "100ms"]
        status = main(["read", *where, *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_registers_are_shown_with_address_bytes_and_value(read):
    status, out, _ = read("10-12")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["10", "0x000a", "001f", "31"], ["11", "0x000b", "0022", "34"], ["12", "0x000c", "0025", "37"],
    ]  # fmt: skip


def test_types_and_orders_are_decoded(read):
    status, out, _ = read("0x10-0x11", "--type", "f32", "--order", "cdab", "--json")
    assert status == 0
    (value,) = json.loads(out)["values"]
    assert value["address"] == 16
    assert value["raw"] == "00310034"
    assert value["value"] == struct.unpack(">f", bytes.fromhex("00340031"))[0]


def test_bits_are_shown_one_by_one(read):
    _, out, _ = read("3-5", "--area", "coil", "--json")
    assert [value["value"] for value in json.loads(out)["values"]] == [True, False, False]


def test_a_long_range_takes_several_requests(read, slave):
    status, out, _ = read("0-299", "--type", "u64")
    assert status == 0
    assert len(out.splitlines()) == 75
    assert [int.from_bytes(request[4:6], "big") for request in slave.requests] == [124, 124, 52]


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (2, "exception 2, illegal data address"),
        (3, "nothing heard within 100 ms"),
        (4, "garbage heard (wrong_unit), 9 bytes: 68 03 04 00 01 00 04"),
        (5, "garbage heard (short), 4 bytes: 05 03 04 00"),
    ],
)
def test_it_says_why_nothing_came(read, unit, words):
    status, out, err = read("0-1", unit=unit)
    assert status == 1
    assert not out
    assert words in err
    assert "hint:" in err
    status, out, _ = read("0-1", "--json", unit=unit)
    assert status == 1
    assert words in json.loads(out)["error"]["message"]


def test_trace_shows_the_frames(read):
    _, _, err = read("0-1", "--trace")
    sent, heard = err.splitlines()
    assert "-> 01 03 00 00 00 02 c4 0b" in sent
    assert "<- 01 03 04 00 01 00 04" in heard
    assert "[ok 2 registers]" in heard


def test_a_port_in_use_is_named_with_its_owner(read, slave):
    held = port_module.open_port(SerialLink(path=slave.path), SystemClock())
    status, _, err = read("0")
    held.close()
    assert status == 1
    assert f"(pid {os.getpid()})" in err


def test_a_missing_port_and_no_permission_have_hints(capsys, tmp_path, monkeypatch):
    missing = str(tmp_path / "ttyUSB7")
    assert main(["read", "--port", missing, "--unit-id", "1", "0"]) == 1
    assert "plugged in" in capsys.readouterr().err

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert main(["read", "--port", missing, "--unit-id", "1", "0"]) == 1
    assert "dialout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["0"], "--unit-id"),
        (["--unit-id", "0", "0"], "--unit-id"),
        (["--unit-id", "248", "0"], "--unit-id"),
        (["--unit-id", "1", "9-3"], "FIRST-LAST"),
        (["--unit-id", "1", "65536"], "FIRST-LAST"),
        (["--unit-id", "1", "ten"], "FIRST-LAST"),
        (["--unit-id", "1", "0-2", "--type", "f32"], "FIRST-LAST"),
        (["--unit-id", "1", "0", "--timeout", "5"], "--timeout"),
        (["--unit-id", "1", "0", "--format", "9X3"], "--format"),
        (["--unit-id", "1", "0", "--baud", "3"], "--baud"),
        (["--unit-id", "1", "0", "--repeat", "-1"], "--repeat"),
        (["--unit-id", "1", "0", "--format", "7E1"], "--format"),
        (["--unit-id", "1", "0", "--ca", "ca.pem"], "--ca"),
    ],
)
def test_wrong_options_are_refused_with_their_name(words, key, capsys):
    assert main(["read", "--port", "/dev/null", *words]) == 2
    assert key in capsys.readouterr().err


def test_modbus_tcp_is_read_the_same_way(capsys):
    slave = TcpSlave()
    assert main(["read", "--tcp", f"127.0.0.1:{slave.port}", "--unit-id", "1", "10-11", "--repeat", "2",
                 "--interval", "1ms"]) == 0  # fmt: skip
    slave.close()
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--tls", "h:0", "--ca", "x"], "--tls"),
        (["--tls", "h"], "--ca"),
        (["--tls", "h", "--ca", "x", "--cert", "c"], "--cert"),
        (["--tls", "h", "--ca", "x", "--framing", "rtu"], "--framing"),
        (["--tcp", "h", "--server-name", "x"], "--server-name"),
        (["--tcp", "h", "--framing", "rtu", "--baud", "3"], "--baud"),
    ],
)
def test_wrong_options_of_a_network_line_are_refused_with_their_name(words, key, capsys):
    assert main(["read", *words, "--unit-id", "1", "0"]) == 2
    assert key in capsys.readouterr().err


def test_modbus_ascii_is_read_and_traced_in_its_characters(capsys):
    slave = PtySlave(framing=framings.ASCII)
    where = ["--port", slave.path, "--framing", "ascii", "--baud", "115200", "--unit-id", "1"]
    assert main(["read", *where, "10-11", "--trace"]) == 0
    slave.close()
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines()] == ["31", "34"]
    assert "-> :0103000A0002F0\\r\\n  [unit 1 read holding 10-11]" in err
    assert "<- :010304001F0022B7\\r\\n  [ok 2 registers]" in err


def test_a_device_server_is_read_by_its_framing(capsys):
    slave = TcpSlave(framing=framings.RTU)
    where = ["--tcp", f"127.0.0.1:{slave.port}", "--framing", "rtu", "--baud", "115200", "--unit-id", "1"]
    assert main(["read", *where, "10-11"]) == 0
    slave.close()
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["31", "34"]


def test_tls_is_read_with_the_certificates_given_and_refused_without_trust(capsys, tmp_path):
    authority = Authority(tmp_path)
    slave = TcpSlave(tls=server_context(authority.issue("device")))
    where = ["--tls", f"127.0.0.1:{slave.port}", "--unit-id", "1", "10-11"]
    assert main(["read", *where, "--ca", str(authority.ca)]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["31", "34"]
    stranger = Authority(tmp_path, "stranger")
    assert main(["read", *where, "--ca", str(stranger.ca)]) == 1
    slave.close()
    assert "hint: check ca" in capsys.readouterr().err
