"""The receivers a fleet may have, and how to look into what they have received."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e import ledger
from tests.e2e.ledger import Ledger


class JsonReceiver:
    """`edge-agent receive --json`, its lines in a file."""

    def __init__(self, folder: Path) -> None:
        self.arguments = ("--json",)
        self._out = folder / "receiver.out"

    def size(self) -> int:
        return self._out.stat().st_size

    def has_stop(self, epoch: str) -> bool:
        lines = self._out.read_text().splitlines()
        return any('"kind": "stop"' in line and epoch in line for line in lines)

    def ledger(self, agent: str) -> Ledger:
        lines = self._out.read_text().splitlines(keepends=True)
        return ledger.of_objects((json.loads(line) for line in lines if line.endswith("\n")), agent)


class SqliteReceiver:
    """`edge-agent receive --to sqlite:FILE`."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "received.sqlite"
        self.arguments = ("--to", f"sqlite:{self._database}")

    def size(self) -> int:
        return ledger.count(self._database)

    def has_stop(self, epoch: str) -> bool:
        return ledger.stopped(self._database, epoch)

    def ledger(self, agent: str) -> Ledger:
        return ledger.of_sqlite(self._database, agent)


RECEIVER: type[JsonReceiver] | type[SqliteReceiver] = SqliteReceiver
