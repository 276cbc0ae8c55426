"""What `edge-agent init --yes --json` says at its end. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.cli._init_service import State
from edge_agent.cli._init_task import Given
from edge_agent.commissioning.answers import Answers
from edge_agent.commissioning.reach import Reached
from edge_agent.config.values import show_host_and_port
from edge_agent.model import SerialLink, TcpLink


def data(given: Given, answers: Answers, kept: Path | None, reached: Reached, state: State) -> dict[str, Any]:
    failure = reached.failure
    return {
        "config": str(given.config),
        "kept": None if kept is None else str(kept),
        "site": answers.site,
        "agent": answers.agent or None,
        "line": _link(answers.link),
        "devices": [
            {"name": one.name, "unit_id": one.unit_id, "profile": one.profile, "why": one.note}
            for one in answers.devices
        ],
        "left_out": [{"unit_id": one.unit_id, "heard": one.heard} for one in answers.unknown],
        "pace": answers.pace,
        "broker": {
            "url": answers.uplink.url,
            "reached": failure is None,
            "message": failure.message if failure else "",
            "hint": failure.hint if failure else "",
        },
        "service": {"state": state.word, "message": state.message, "devices": state.devices},
    }


def _link(link: SerialLink | TcpLink) -> dict[str, Any]:
    if isinstance(link, SerialLink):
        format_ = f"{link.data_bits}{link.parity.value}{link.stop_bits}"
        return {"port": link.path, "baud": link.baud, "format": format_}
    return {"tcp": show_host_and_port(link.host, link.port)}
