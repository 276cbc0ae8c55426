"""`edge-agent demo`: simulator, agent and receiver together, with a broker of their own."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
from pathlib import Path

from edge_agent.cli._seconds import seconds
from edge_agent.clock import SystemClock
from edge_agent.demo import broker, plant
from edge_agent.demo.session import Outcome, Session
from edge_agent.demo.show import Show
from edge_agent.errors import EdgeAgentError

_OURS = ".edge-agent-demo"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="simulator, agent and receiver together, no hardware",
        description="Simulates a meter and a press on a serial line, runs the agent on it, and shows what"
        " arrives at a receiver. Everything it writes stays in one folder. Needs mosquitto or amqtt.",
    )
    parser.add_argument(
        "--seconds", type=seconds, metavar="N", help="end by itself N s after the agent's start"
    )
    parser.add_argument("--dir", type=Path, default=Path("demo-run"), help="folder (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    folder = _prepare(options.dir)
    chosen = broker.choose(folder)
    plant.write(folder, chosen.url, chosen.protocol)
    _introduce(folder, chosen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    session = Session(folder, chosen, Show(colours=sys.stdout.isatty()), _say, SystemClock())
    outcome = session.run(options.seconds, stop)
    _farewell(folder)
    _say(_closing_line(outcome))
    comparison = outcome.comparison
    return 1 if comparison.lost or comparison.foreign or not comparison.served else 0


def _prepare(folder: Path) -> Path:
    """An empty folder; one of an earlier demo is emptied, anything else is left alone."""
    folder = folder.absolute()
    if folder.exists():
        if any(folder.iterdir()) and not (folder / _OURS).exists():
            raise EdgeAgentError(f"{folder} exists and is not of a demo\n    hint: use --dir, or remove it")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _OURS).touch()
    return folder


def _introduce(folder: Path, chosen: broker.Broker) -> None:
    _say(f"broker: {chosen.name} on {chosen.url}")
    _say(f"files:  {folder} ({plant.AGENT}, {plant.SIMULATOR}, {plant.SERVED}, spool/, *.log)")
    _say("meanwhile, in another terminal (with .venv/bin on its PATH):")
    _say(f"    edge-agent watch --socket {folder / plant.SOCKET}")
    _say(f"    edge-agent receive --url {chosen.url}")


def _farewell(folder: Path) -> None:
    _say("next: look at the configuration and try its commands")
    _say(f"    edge-agent check {folder / plant.AGENT}")
    _say(f"    edge-agent simulate --script {folder / plant.SIMULATOR} --link /tmp/ttySIM0 &")
    _say("    edge-agent read --port /tmp/ttySIM0 --unit-id 2 --area holding 100-101 --type f32 --trace")


def _closing_line(outcome: Outcome) -> str:
    tally, comparison = outcome.tally, outcome.comparison
    return (
        f"demo: polls={outcome.polls} values={tally.values} records={len(tally.records)}"
        f" alarms={tally.raised + tally.cleared} gaps={tally.gaps}"
        f" served={comparison.served} lost={comparison.lost} foreign={comparison.foreign}"
    )


def _say(line: str) -> None:
    print(line, flush=True)
