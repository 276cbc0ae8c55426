from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config import credentials
from edge_agent.config.credentials import hint, source

DENIED, GONE = PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file or directory")


@pytest.fixture
def handed_over(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("keys_client.key", "keys_hall_client.key", "keys"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        ("/etc/edge-agent/keys/client.key", "keys_client.key"),
        ("/etc/edge-agent/keys/hall/client.key", "keys_hall_client.key"),
        ("/etc/edge-agent//keys/client.key", "keys_client.key"),
    ],
)
def test_a_file_of_root_is_read_as_it_was_handed_over(handed_over, path, copy) -> None:
    assert source(path) == handed_over / copy


@pytest.mark.parametrize(
    "path",
    [
        "/etc/edge-agent/keys/came-later.key",
        "/etc/edge-agent/keys",
        "/etc/edge-agent/keys/../client.key",
        "/etc/edge-agent/client.key",
        "/etc/edge-agent/keys2/client.key",
        "/srv/edge-agent/keys/client.key",
    ],
)
def test_any_other_file_is_read_itself(handed_over, path) -> None:
    assert source(path) == Path(path)


def test_outside_the_service_every_file_is_read_itself(monkeypatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert source("/etc/edge-agent/keys/client.key") == credentials.KEYS / "client.key"


def test_a_file_that_came_after_the_start_needs_a_restart(handed_over) -> None:
    assert "restart the service" in hint("/etc/edge-agent/keys/new.key", "key", DENIED)
    assert hint("/etc/edge-agent/keys/new.key", "key", GONE) == "check key"
    assert hint("/srv/new.key", "key", DENIED).startswith("let the agent's user read it, or put it into /etc")
