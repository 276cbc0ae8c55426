"""What `update` shows: the phases as they go by, and how it ended."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from edge_agent.cli import _json
from edge_agent.cli._progress import Progress
from edge_agent.clock import Clock
from edge_agent.model import NS
from edge_agent.update.machine import Phase, Update
from edge_agent.update.store import FOLDER, Result


class Following:
    """A line for each phase and each new thing that is waited for; a bar while the agent is watched."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._progress = Progress(stream, clock)
        self._phase: Phase | None = None
        self._since = clock.mono_ns()
        self._notes: tuple[str, ...] = ()

    def show(self, update: Update) -> None:
        if update.phase is not self._phase:
            self._phase, self._since, self._notes = update.phase, self._clock.mono_ns(), ()
            for reason in update.reasons:
                self._progress.say(f"  {reason}")
            self._progress.say(doing(update))
        for note in update.notes:
            if note not in self._notes:
                self._progress.say(f"  not yet: {note}")
        self._notes = update.notes
        if update.phase is Phase.WATCHING:
            left = int(update.watch_s * NS) - (self._clock.mono_ns() - self._since)
            self._progress.show(max(0, left), update.notes[0] if update.notes else "nothing is worse")

    def clear(self) -> None:
        self._progress.clear()


def doing(update: Update) -> str:
    old, new = update.old.version, update.new.version
    match update.phase:
        case Phase.STAGED:
            return f"{new} is checked, {old} is kept to be put back"
        case Phase.INSTALLING:
            return f"installing {new}"
        case Phase.WATCHING:
            return f"watching {new} for {update.watch_s:g} s"
        case Phase.PUTTING_BACK:
            return f"putting {old} back"
        case Phase.KEPT:
            if not update.before.active:
                return f"kept: {new} is installed; the service did not run before, so nothing was watched"
            return f"kept: {new} runs, and nothing is worse than before"
        case Phase.PUT_BACK:
            runs = "runs again" if update.before.active else "is installed again"
            return f"put back: {new} was not kept, {old} {runs}"
        case Phase.FAILED:
            return f"failed: the update from {old} to {new}"


def lines(update: Update | None, last: Result | None) -> list[str]:
    """Of the update under way, else of the last one."""
    if update is not None:
        text = [f"under way since {_when(update.begun_s)}: {doing(update)}"]
        return [*text, *(f"  {reason}" for reason in (*update.reasons, *update.notes))]
    if last is None:
        return ["no update was made"]
    text = [f"{_when(last.ended_s)}: {doing(last.update)}", *(f"  {why}" for why in last.update.reasons)]
    if last.update.phase is Phase.FAILED:
        kept = FOLDER / last.installed.file
        text.append(f"  the package of {last.installed.version} is kept: {kept}")
        text.append("  hint: journalctl -u edge-agent-update")
    elif last.previous is not None:
        text.append(f"  {last.previous.version} is kept: sudo edge-agent update --rollback")
    return text


def document(update: Update | None, last: Result | None) -> dict[str, Any]:
    """The same for programs; `phase` is `none` when there was none."""
    about = update or (last.update if last else None)
    if about is None:
        return {"phase": "none"}
    return {
        "phase": str(about.phase),
        "old": about.old.version,
        "new": about.new.version,
        "begun": about.begun_s,
        "ended": last.ended_s if last else None,
        "watch_s": about.watch_s,
        "attempts": about.attempts,
        "reasons": list(about.reasons),
        "waiting_for": list(about.notes),
        "before": asdict(about.before),
        "rollback": last.previous.version if last and last.previous else None,
    }


def nothing_to_do(file: Path, as_json: bool) -> None:
    message = f"{file} is what is installed; nothing to do (--force installs it again)"
    print(_json.dumps({"phase": "none", "message": message}) if as_json else message)


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
