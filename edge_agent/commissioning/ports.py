"""Which serial ports this machine has, the steadiest name of each, and who holds it. Reads /dev, /sys, /proc.

A kernel names 4 or 32 ttyS ports whether there is a chip behind them or not; those without one have the
type 0 (PORT_UNKNOWN, linux/serial_core.h) in /sys and are no ports.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.bus.ports import by_id, owner

_KINDS = ("ttyUSB", "ttyACM", "ttyAMA", "ttyS", "ttymxc", "ttyO", "ttySC", "ttyTHS", "ttyLP", "ttyXR")
"""USB adapters first, then the UARTs of boards that Debian runs on."""
_DEV = Path("/dev")
_SYS = Path("/sys/class/tty")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPort:
    path: str
    """The name to write into a configuration."""
    device: str
    """The numbered name, where `path` is another."""
    held_by: str = ""
    """`socat (pid 4711)`; empty when nobody is seen."""


def present(dev: Path = _DEV, sys: Path = _SYS, links: Path | None = None) -> list[FoundPort]:
    """Those that are really there, adapters first; by-id names where udev gives them."""
    steady = {os.path.realpath(link): link for link in by_id.present(links)}
    return [
        FoundPort(path=steady.get(str(device), str(device)), device=str(device), held_by=held_by(str(device)))
        for device in _devices(dev, sys)
    ]


def held_by(path: str) -> str:
    return ", ".join(f"{name} (pid {pid})" for pid, name in owner.others(path))


def _devices(dev: Path, sys: Path) -> Iterator[Path]:
    try:
        names = [entry.name for entry in dev.iterdir()]
    except OSError:
        return
    for kind in _KINDS:
        numbered = [name for name in names if name.startswith(kind) and name[len(kind) :].isdecimal()]
        for name in sorted(numbered, key=lambda name: int(name[len(kind) :])):
            if _is_hardware(dev / name, sys / name):
                yield dev / name


def _is_hardware(device: Path, about: Path) -> bool:
    try:
        if not stat.S_ISCHR(device.stat().st_mode):
            return False
        return (about / "type").read_text().strip() != "0"
    except FileNotFoundError:
        # USB drivers have no type; a link to a pseudo-terminal, or a container, has no folder at all.
        return device.exists() and not device.name.startswith("ttyS")
    except OSError:
        return False
