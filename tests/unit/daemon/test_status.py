from __future__ import annotations

import socket
import stat
import threading

import pytest

from edge_agent.clock import SystemClock
from edge_agent.daemon.status import StatusServer, default_path, fetch
from edge_agent.errors import EdgeAgentError


@pytest.fixture
def served(tmp_path):
    path = tmp_path / "run" / "status.sock"
    server = StatusServer(path, lambda: {"answer": 42, "big": "x" * 1_000_000}, SystemClock())
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    yield path
    stop.set()
    thread.join()
    assert not path.exists()


def test_each_connection_is_given_one_snapshot(served) -> None:
    assert fetch(served)["answer"] == 42
    assert len(fetch(served)["big"]) == 1_000_000


def test_a_client_that_does_not_read_does_not_hold_the_others(served) -> None:
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.connect(str(served))
        assert fetch(served)["answer"] == 42


def test_the_socket_is_for_its_user_and_group_only(served) -> None:
    assert stat.S_IMODE(served.stat().st_mode) == 0o660


def test_a_second_agent_on_the_same_socket_is_refused(served) -> None:
    with pytest.raises(EdgeAgentError, match="already serves"):
        StatusServer(served, dict, SystemClock())


def test_a_stale_socket_file_is_replaced(tmp_path) -> None:
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = StatusServer(path, dict, SystemClock())
    server._socket.close()


@pytest.mark.parametrize("place", ["/proc/nowhere/status.sock", "folder", "file", "x" * 120])
def test_a_place_that_cannot_be_used_is_refused_and_left_as_it_is(tmp_path, place) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(EdgeAgentError, match=r"cannot listen on .*: (?!None)\w(.|\n)*hint: .*--socket"):
        StatusServer(tmp_path / place, dict, SystemClock())
    assert (tmp_path / "folder").is_dir()
    assert (tmp_path / "file").read_text() == "precious"


def test_no_agent_is_said_with_a_hint(tmp_path) -> None:
    with pytest.raises(EdgeAgentError, match=r"no running agent(.|\n)*hint"):
        fetch(tmp_path / "nothing.sock")


def test_the_socket_is_found_where_the_environment_says(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("EDGE_AGENT_SOCKET", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert str(default_path()) == "/run/edge-agent/status.sock"
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert default_path() == tmp_path / "status.sock"
    monkeypatch.setenv("EDGE_AGENT_SOCKET", "/elsewhere")
    assert str(default_path()) == "/elsewhere"
