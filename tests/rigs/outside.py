"""What stands beside a gateway: a mosquitto on its 127.0.0.1:1883 and a receiver of this checkout.

    with Broker(gw, tmp_path) as broker, Receiver(gw, tmp_path) as receiver:
        gw.wait(lambda: receiver.of_kind("sample"))
        broker.stop(); broker.start()
        end = receiver.finish()      # its closing object: what is missing

Both live in the network of the gateway but not in its system, so they outlive its power cuts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.conftest import ROOT
from tests.contract.broker import MOSQUITTO
from tests.rigs.gateway import Gateway

URL = "mqtt://127.0.0.1:1883"
_START_S = 20.0
_QUIET_S = 1.5
"""A receiver to which nothing came for so long has all that was on the way: the broker is on this machine."""

Object = dict[str, Any]


class _Program:
    """One program in the gateway's network, its output in a file of its own."""

    def __init__(self, gw: Gateway, folder: Path, name: str, command: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._gw = gw
        self._command = command
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        self._process: subprocess.Popen[Any] | None = None

    def start(self, said: str) -> None:
        """Start it, and return when its log has a further line with `said`."""
        before = self._count(said)
        with self.out.open("ab") as out, self.log.open("ab") as log:
            self._process = process = self._gw.popen_outside(
                *self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while self._count(said) == before:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._command[0]} did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return process.wait(_START_S)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _count(self, said: str) -> int:
        return self.log.read_text(errors="replace").count(said) if self.log.exists() else 0


class Broker(_Program):
    """`options`: further lines for mosquitto.conf. It keeps what it has for a receiver that is away."""

    def __init__(self, gw: Gateway, folder: Path, *, options: Sequence[str] = ()) -> None:
        store = folder / "broker"
        store.mkdir(parents=True, exist_ok=True)
        lines = ["listener 1883 127.0.0.1", "allow_anonymous true", "user root", "persistence true"]
        lines += [f"persistence_location {store}/", "autosave_interval 1", "max_queued_messages 0", *options]
        config = store / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        super().__init__(gw, folder, "broker", [MOSQUITTO, "-c", str(config), "-v"])

    def start(self, said: str = " running") -> None:
        super().start(said)

    def stop(self) -> None:
        """As an operator does: SIGTERM, clients are told."""
        self.end()

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Receiver(_Program):
    """`edge-agent receive --json`."""

    def __init__(self, gw: Gateway, folder: Path, *options: str, url: str = URL) -> None:
        command = [sys.executable, "-m", "edge_agent", "receive", "--url", url, "--json", *options]
        super().__init__(gw, folder, "receiver", command)

    def start(self, said: str = "listening to") -> None:
        super().start(said)

    @property
    def objects(self) -> list[Object]:
        """Everything it has printed so far."""
        lines = self.out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def of_kind(self, kind: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] == kind]

    def finish(self) -> Object:
        """Let it take what is on the way, and stop it; its closing object."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < _QUIET_S:
            now = self.out.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)
        assert self.end() == 0
        return self.of_kind("end")[-1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)
