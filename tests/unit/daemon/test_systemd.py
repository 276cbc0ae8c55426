from __future__ import annotations

import logging
import os
import socket

import pytest

from edge_agent.daemon import systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_notifications_arrive_at_the_service_manager(tmp_path, monkeypatch, abstract) -> None:
    name = f"edge-agent-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        assert systemd.notify("READY=1", "STATUS=2 buses")
        assert manager.recv(4096) == b"READY=1\nSTATUS=2 buses"


def test_without_a_manager_nothing_is_sent_and_a_dead_one_does_not_raise(monkeypatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    assert not systemd.notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30_000_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30_000_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_period_is_read_for_this_process_only(environment, expected) -> None:
    assert systemd.watchdog_ns(environment) == expected


def test_logs_go_to_stderr_where_there_is_no_journal(capfd, monkeypatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        systemd.setup_logging()
        logging.getLogger("edge_agent.bus").warning("port is busy")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert "WARNING" in (text := capfd.readouterr().err)
    assert "edge_agent.bus: port is busy" in text


@pytest.mark.needs("python3-systemd")
def test_under_systemd_logs_go_to_the_journal_with_their_fields(monkeypatch, tmp_path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr("sys.stderr", stream)
        handler = systemd._journal_handler()
    assert handler is not None
    sent: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(handler, "send", lambda MESSAGE, **fields: sent.append((MESSAGE, fields)))
    logger = logging.Logger("edge_agent.test")
    logger.addHandler(handler)
    logger.warning("%s", "device meter is down", extra={"DEVICE": "meter", "UNIT_ID": "1"})
    ((message, fields),) = sent
    assert message == "device meter is down"
    assert fields["SYSLOG_IDENTIFIER"] == "edge-agent"
    assert (fields["DEVICE"], fields["UNIT_ID"], fields["PRIORITY"]) == ("meter", "1", "4")
