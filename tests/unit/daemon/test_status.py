from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent import __version__
from edge_agent.clock import FakeClock, SystemClock
from edge_agent.daemon.asking import ask
from edge_agent.daemon.commands import CommandError, Probe, error_line
from edge_agent.daemon.sockets import NoAgent, commands_path, default_path
from edge_agent.daemon.status import MAX_COMMANDS, StatusServer, fetch
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS


@pytest.fixture
def served(tmp_path):
    path = tmp_path / "run" / "status.sock"
    server = StatusServer(
        path, lambda: {"agent": {"version": __version__}, "answer": 42, "big": "x" * 1_000_000}, SystemClock()
    )
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


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        ({"agent": {"version": "0.0.9"}}, r"is edge-agent 0\.0\.9, this command .*\n    hint: restart"),
        ({"agent": {}}, "does not speak like an edge-agent"),
        ({"answer": 42}, "does not speak like an edge-agent"),
        ([1, 2], "does not speak like an edge-agent"),
        ("text", "does not speak like an edge-agent"),
    ],
)
def test_an_agent_of_another_version_is_said_to_be_one(tmp_path, snapshot, said) -> None:
    server = StatusServer(tmp_path / "status.sock", lambda: snapshot, SystemClock())
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    with pytest.raises(NoAgent, match=said):
        fetch(server.path)
    stop.set()
    server.wake()
    thread.join()


# --- the command socket ---------------------------------------------------------------------------


class EchoDesk:
    """Replies with what it was told; `wait` keeps it for `answer`."""

    patience_ns = 90 * NS

    def __init__(self, status: Path) -> None:
        self.status, self.path = status, commands_path(status)
        self.kept: list[Callable[[bytes], None]] = []
        self.taken = threading.Semaphore(0)

    def take(self, line, reply, who) -> None:
        self.taken.release()
        if line.startswith(b"wait"):
            self.kept.append(reply)
        else:
            reply(line + b"!\n")

    def failed(self, error) -> bytes:
        return error_line(error)


@pytest.fixture
def desk(tmp_path):
    desk = EchoDesk(tmp_path / "status.sock")
    server = StatusServer(
        desk.status, lambda: {"agent": {"version": __version__}, "answer": 42}, SystemClock(), desk
    )
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    yield desk
    stop.set()
    server.wake()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(path))
    return client


def everything(client) -> bytes:
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data


def told(path, *pieces) -> bytes:
    with connect(path) as client:
        for piece in pieces:
            client.sendall(piece)
        return everything(client)


def test_a_command_is_one_line_each_way(desk) -> None:
    assert told(desk.path, b"hello\n") == b"hello!\n"
    assert stat.S_IMODE(desk.path.stat().st_mode) == 0o660


def test_a_line_may_come_in_pieces_and_may_end_with_the_connection(desk) -> None:
    assert told(desk.path, b"he", b"ll", b"o\nmore") == b"hello!\n"
    with connect(desk.path) as client:
        client.sendall(b"half")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"half!\n"


def test_a_line_without_end_is_cut_off(desk) -> None:
    with connect(desk.path) as client:
        client.sendall(b"x" * 5000)
        reply = client.recv(65536)
    assert reply == b"x" * 4097 + b"!\n"


def test_who_says_nothing_or_half_a_line_is_dropped_and_holds_up_nobody(desk) -> None:
    with connect(desk.path) as mute, connect(desk.path) as half:
        half.sendall(b"hal")
        assert told(desk.path, b"hello\n") == b"hello!\n"
        assert fetch(desk.status)["answer"] == 42
        assert everything(mute) == b""
        assert everything(half) == b""


def test_a_command_that_waits_holds_up_neither_commands_nor_the_status(desk) -> None:
    with connect(desk.path) as waiting:
        waiting.sendall(b"wait\n")
        assert desk.taken.acquire(timeout=30)
        assert told(desk.path, b"hello\n") == b"hello!\n"
        assert fetch(desk.status)["answer"] == 42
        desk.kept[0](b"done\n")
        assert everything(waiting) == b"done\n"


def test_who_goes_away_while_it_waits_is_forgotten(desk) -> None:
    with connect(desk.path) as client:
        client.sendall(b"wait\n")
        assert desk.taken.acquire(timeout=30)
    desk.kept[0](b"done\n")
    assert told(desk.path, b"hello\n") == b"hello!\n"


def test_too_many_that_wait_are_refused_and_the_status_is_told_all_the_same(desk) -> None:
    waiting = [connect(desk.path) for _ in range(MAX_COMMANDS)]
    for client in waiting:
        client.sendall(b"wait\n")
        assert desk.taken.acquire(timeout=30)
    assert b"too many clients" in told(desk.path)
    assert fetch(desk.status)["answer"] == 42
    for reply in desk.kept:
        reply(b"done\n")
    assert {everything(client) for client in waiting} == {b"done\n"}
    assert told(desk.path, b"hello\n") == b"hello!\n"
    for client in waiting:
        client.close()


def test_who_has_waited_for_too_long_is_told_so_and_a_reply_after_that_is_for_nobody(tmp_path) -> None:
    clock = FakeClock()
    desk = EchoDesk(tmp_path / "status.sock")
    server = StatusServer(desk.status, dict, clock, desk)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    with connect(desk.path) as client:
        client.sendall(b"wait\n")
        assert desk.taken.acquire(timeout=30)
        clock.advance(desk.patience_ns)
        assert told(desk.path, b"hello\n") == b"hello!\n"
        clock.advance(2 * NS)
        server.wake()
        reply = json.loads(everything(client))
    assert (reply["reason"], reply["error"]) == ("late", "the bus was not free within 90 s")
    desk.kept[0](b"done\n")
    assert told(desk.path, b"hello\n") == b"hello!\n"
    stop.set()
    server.wake()
    thread.join()


def test_a_full_command_socket_is_said_to_be_full_every_time(desk) -> None:
    waiting = [connect(desk.path) for _ in range(MAX_COMMANDS)]
    for client in waiting:
        client.sendall(b"wait\n")
        assert desk.taken.acquire(timeout=30)
    for _ in range(30):
        with pytest.raises(CommandError, match="too many clients"):
            ask(desk.status, Probe(device="d"))
    for client in waiting:
        client.close()


def test_a_command_that_is_too_long_is_refused_with_the_reason(desk, monkeypatch) -> None:
    error = error_line(CommandError("too long"))
    monkeypatch.setattr(desk, "take", lambda line, reply, who: reply(error))
    with pytest.raises(CommandError, match="too long"):
        ask(desk.status, Probe(device="x" * 1_000_000))


def test_more_clients_than_are_taken_at_once_wait_and_are_served(served) -> None:
    sleepers = [connect(served) for _ in range(40)]
    assert fetch(served)["answer"] == 42
    for sleeper in sleepers:
        sleeper.close()


def test_a_place_that_is_taken_for_commands_leaves_no_status_socket_behind(tmp_path) -> None:
    (tmp_path / "commands.sock").write_text("precious")
    with pytest.raises(EdgeAgentError, match="command socket"):
        StatusServer(tmp_path / "status.sock", dict, SystemClock(), EchoDesk(tmp_path / "status.sock"))
    assert [path.name for path in tmp_path.iterdir()] == ["commands.sock"]


def test_two_agents_in_one_folder_have_two_command_sockets(tmp_path) -> None:
    names = {str(commands_path(tmp_path / name).name) for name in ("status.sock", "a.sock", "b-status.sock")}
    assert names == {"commands.sock", "a.sock.commands", "b-commands.sock"}


def test_who_asks_an_agent_that_is_not_there_is_given_a_hint(tmp_path) -> None:
    with pytest.raises(EdgeAgentError, match=r"no running agent answers at .*commands.sock(.|\n)*hint"):
        ask(tmp_path / "status.sock", Probe(device="d"))


@pytest.mark.parametrize("reach", [fetch, lambda path: ask(path, Probe(device="d"))])
def test_who_is_not_in_the_agents_group_is_told_how_to_get_there(desk, monkeypatch, reach) -> None:
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(
        NoAgent, match=f"may not be asked.*\n.*usermod -aG {desk.path.group()} .*sudo"
    ) as raised:
        reach(desk.status)
    monkeypatch.undo()
    assert raised.value.is_there


def test_a_refusal_and_a_stranger_are_told_apart(desk, monkeypatch) -> None:
    monkeypatch.setattr(
        desk, "take", lambda line, reply, who: reply(error_line(CommandError("no", reason="full")))
    )
    with pytest.raises(CommandError, match="no"):
        ask(desk.status, Probe(device="d"))
    monkeypatch.setattr(desk, "take", lambda line, reply, who: reply(b"220 smtp ready\n"))
    with pytest.raises(NoAgent, match="does not speak"):
        ask(desk.status, Probe(device="d"))
