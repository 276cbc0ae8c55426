"""What the helper sees of the agent, who is not root and may be broken."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.update import system


@pytest.fixture
def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An agent whose status socket says what `give` sends, and what the helper takes from it."""
    path = tmp_path / "status.sock"
    monkeypatch.setattr(system, "MAX_SNAPSHOT", 1 << 20)
    monkeypatch.setattr(system, "SNAPSHOT_S", 0.5)

    def snapshot(give: Callable[[socket.socket], None]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen()

            def serve() -> None:
                client, _ = listening.accept()
                with client:
                    try:
                        give(client)
                    except OSError:
                        gone.set()

            gone = threading.Event()
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                return system._snapshot(path)
            finally:
                thread.join()

    return snapshot


def test_a_snapshot_in_pieces_is_whole(saying) -> None:
    text = json.dumps({"agent": {"version": "1"}, "more": "x" * 500_000}).encode()
    assert saying(lambda client: client.sendall(text))["agent"] == {"version": "1"}


def test_a_snapshot_without_end_is_none(saying) -> None:
    def flood(client: socket.socket) -> None:
        while True:
            client.sendall(b" " * 65536)

    assert saying(flood) == {}


def test_a_snapshot_that_comes_a_byte_at_a_time_is_given_up(saying) -> None:
    pause = threading.Event()

    def trickle(client: socket.socket) -> None:
        while not pause.wait(0.02):
            client.sendall(b" ")

    assert saying(trickle) == {}


def test_nobody_there_is_none(tmp_path: Path) -> None:
    assert system._snapshot(tmp_path / "status.sock") == {}
