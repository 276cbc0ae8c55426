"""What `edge-agent scan` is asked, what it warns of, and how it shows how far it is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from edge_agent.bus.outcomes import DeviceException, Values
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.settings import BAUDS, FORMATS, Setting
from edge_agent.cli import _scan_view, _search, main
from edge_agent.cli._progress import Progress, bar, duration
from edge_agent.clock import FakeClock
from edge_agent.daemon import status
from edge_agent.errors import PortError
from edge_agent.model import NS, Area
from edge_agent.profiles.dangers import dangers
from edge_agent.profiles.library import Library, packaged

S = NS
RISKY = (packaged() / "eastron" / "sdm120.toml").read_text().replace("eastron/sdm120", "growatt/spf")


def library(tmp_path: Path, text: str) -> Library:
    folder = tmp_path / "growatt"
    folder.mkdir()
    (folder / "spf.toml").write_text(text)
    return Library([packaged(), tmp_path])


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--baud", "fast"], "--baud"),
        (["--baud", "9600,"], "--baud"),
        (["--baud", "299"], "--baud"),
        (["--format", "8X1"], "--format"),
        (["--format", "7E1"], "--format"),
        (["--units", "0-5"], "--units"),
        (["--units", "1-256"], "--units"),
        (["--units", ""], "--units"),
        (["--timeout", "60"], "--timeout"),
        (["--timeout", "1ms"], "--timeout"),
    ],
)
def test_wrong_options_are_refused_with_their_name(words, key, capsys):
    assert main(["scan", "/dev/null", *words]) == 2
    assert key in capsys.readouterr().err


def test_a_wrong_address_is_refused(capsys):
    assert main(["scan", "tcp://a b"]) == 2
    assert "PORT" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["scan", "/dev/null", "--address", "70000"])
    assert ended.value.code == 2


def test_a_missing_port_says_so(capsys, tmp_path):
    assert main(["scan", str(tmp_path / "ttyUSB7")]) == 1
    assert "plugged in" in capsys.readouterr().err


def test_what_is_no_serial_port_says_so(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert main(["scan", str(tmp_path / "file")]) == 1
    said = capsys.readouterr()
    assert "is it a serial port" in said.err
    assert not said.out


# --- warnings -----------------------------------------------------------------------------------


def test_the_packaged_profiles_can_all_be_read():
    assert dangers(Library([packaged()])).unreadable == ()


def test_a_profile_that_stops_on_an_illegal_address_is_named(tmp_path):
    assert "[quirks]" in RISKY
    risky = RISKY.replace("[quirks]", '[quirks]\non_illegal_address = "stop"', 1)
    (kind,) = dangers(library(tmp_path, risky)).kinds
    assert kind.endswith("(growatt/spf)")


def test_a_profile_with_mistakes_is_named_as_unread(tmp_path):
    found = dangers(library(tmp_path, "schema = 2"))
    assert (found.kinds, found.unreadable) == ((), ("growatt/spf",))


def test_without_a_terminal_a_warning_needs_a_yes(tmp_path, monkeypatch, capsys):
    library(tmp_path, RISKY.replace("[quirks]", '[quirks]\non_illegal_address = "stop"', 1))
    monkeypatch.setenv("EDGE_AGENT_PROFILES", str(tmp_path))
    missing = str(tmp_path / "ttyUSB7")
    assert main(["scan", missing]) == 2
    said = capsys.readouterr().err
    assert "can restart" in said
    assert "growatt/spf" in said
    assert "--yes" in said
    assert main(["scan", missing, "--yes"]) == 1
    assert "plugged in" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "status"), [("y\n", 1), ("yes\n", 1), ("n\n", 2), ("\n", 2), ("", 2)])
def test_at_a_terminal_it_asks(tmp_path, monkeypatch, capsys, answer, status):
    library(tmp_path, RISKY.replace("[quirks]", '[quirks]\non_illegal_address = "stop"', 1))
    monkeypatch.setenv("EDGE_AGENT_PROFILES", str(tmp_path))
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["scan", str(tmp_path / "ttyUSB7")]) == status
    assert "[y/N]" in capsys.readouterr().err


# --- the result ---------------------------------------------------------------------------------


def searched() -> Scan:
    """Unit 1 with a value, unit 2 with an exception."""
    scan = Scan([Setting(9600)], (1, 2))
    value, refusal = Values(b"\x00\x42", 12_400_000), DeviceException(2, 8_000_000)
    while probe := scan.next():
        scan.note(probe, value if probe.unit_id == 1 else refusal)
    return scan


def test_the_table_says_what_answered_with_what():
    head, first, second = _scan_view.lines(searched(), Area.HOLDING, 0)
    assert head.split() == ["UNIT", "SPEED", "FORMAT", "REPLY", "ANSWERED", "WITH"]
    assert first.split(maxsplit=8)[:3] == ["1", "9600", "8N1"]
    assert "value 0x0042 (holding 0)" in first
    assert "8 ms" in second
    assert "exception 2, illegal data address" in second


def test_the_data_say_the_same():
    said = _scan_view.data(searched(), ["h"], complete=True)
    one, two = said["found"]
    assert (one["unit_id"], one["value"], one["exception"]) == (1, 0x42, None)
    assert (two["unit_id"], two["value"], two["exception"]) == (2, None, 2)
    assert one["setting"] == {"baud": 9600, "format": "8N1"}
    assert (said["complete"], said["settings"], said["hints"]) == (True, ["9600 8N1"], ["h"])


def test_by_tcp_there_is_no_setting_and_one_device_for_all_ids_is_told():
    scan = Scan([None], tuple(range(1, 30)))
    while probe := scan.next():
        scan.note(probe, Values(b"\x00\x01", 1_000_000))
    assert _scan_view.data(scan, [], complete=True)["found"][0]["setting"] is None
    assert _scan_view.lines(scan, Area.INPUT, 7)[1].split()[1:3] == ["-", "-"]
    assert any(
        "one device with a network socket" in hint for hint in hints(scan, complete=True, all_settings=True)
    )


def test_all_means_every_usual_speed_and_format():
    assert (len(BAUDS), len(FORMATS)) == (8, 4)


# --- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_is_redrawn_at_most_ten_times_a_second():
    clock, stream = FakeClock(), Terminal()
    progress = Progress(stream, clock)
    for _ in range(100):
        clock.advance(S // 50)
        progress.show(10 * S, "unit 5")
    assert stream.getvalue().count("\r") == 20
    assert stream.getvalue().endswith("left  unit 5")
    progress.say("unit 5 answers")
    assert stream.getvalue().endswith("\r\x1b[Kunit 5 answers\n")


def test_elsewhere_there_are_plain_lines_only():
    clock, stream = FakeClock(), io.StringIO()
    progress = Progress(stream, clock)
    for _ in range(10):
        clock.advance(S)
        progress.show(10 * S, "unit 5")
    progress.say("unit 5 answers")
    progress.clear()
    assert stream.getvalue() == "unit 5 answers\n"


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "about 0 s"), (1, "about 1 s"), (59 * S, "about 59 s"), (60 * S, "about 1 min"),
        (125 * S, "about 2 min 5 s"), (3600 * S, "about 1 h"), (4200 * S, "about 1 h 10 min"),
    ],
)  # fmt: skip
def test_an_estimate_is_read_at_a_glance(ns, text):
    assert duration(ns) == text


@pytest.mark.parametrize(("spent", "left", "share", "filled"), [(0, 0, 0, 0), (1, 3, 25, 6), (4, 0, 100, 24)])
def test_the_bar_is_as_long_as_the_share(spent, left, share, filled):
    drawn = bar(spent * S, left * S, "x")
    assert f"{share} %" in drawn
    assert drawn.count("#") == filled


# --- beside a running agent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "refused"),
    [
        ("rtu over tcp h:4001 19200", True),
        ("ascii over tcp h:4001", True),
        ("tcp h:4001", False),
        ("rtu over tcp h:40011", False),
    ],
)
def test_a_device_server_that_an_agent_polls_is_refused(monkeypatch, capsys, link, refused):
    def fetch(path):
        return {"buses": [{"name": "plant", "link": link}]}

    def not_found(*_, **__):
        raise PortError("h: name not known", reason="missing")

    monkeypatch.setattr(status, "fetch", fetch)
    monkeypatch.setattr(_search, "_turns", not_found)
    assert main(["scan", "tcp://h:4001"]) == 1
    assert ("polled by the running agent as bus plant" in capsys.readouterr().err) is refused


def test_json_says_why_a_port_could_not_be_searched(capsys, tmp_path):
    assert main(["scan", str(tmp_path / "ttyUSB7"), "--json"]) == 1
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert error["reason"] == "missing"
    assert "plugged in" in error["hint"]
    assert error["message"] in said.err
