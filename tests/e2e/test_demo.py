"""The demo where no mosquitto is installed: amqtt, which speaks only MQTT 3.1.1, carries the whole chain."""

from __future__ import annotations

import shutil
import signal
from typing import Any

import pytest

from edge_agent.cli import main


@pytest.fixture
def no_mosquitto(monkeypatch):
    real = shutil.which

    def which(name: str, *arguments: Any, **options: Any) -> str | None:
        return None if name == "mosquitto" else real(name, *arguments, **options)

    monkeypatch.setattr(shutil, "which", which)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_demo_loses_nothing_over_amqtt(no_mosquitto, tmp_path, capsys) -> None:
    status = main(["demo", "--seconds", "10", "--dir", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    assert "amqtt speaks only MQTT 3.1.1" in lines[0]
    assert status == 0, lines[-1]
    counts = dict(word.split("=") for word in lines[-1].removeprefix("demo: ").split())
    assert counts["lost"] == counts["foreign"] == counts["gaps"] == "0"
    assert int(counts["served"]) > 20
    assert any("ALARM     overpressure raised" in line for line in lines)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, capsys) -> None:
    (tmp_path / "precious").write_text("data")
    assert main(["demo", "--seconds", "1", "--dir", str(tmp_path)]) == 1
    assert "hint" in capsys.readouterr().err
    assert (tmp_path / "precious").read_text() == "data"
