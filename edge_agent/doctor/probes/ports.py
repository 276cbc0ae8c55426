"""Looks at serial ports by what /dev, /sys, /proc and udev's database say, and opens none of them.

Sources: Documentation/ABI/testing/sysfs-bus-usb (power/control) and sysfs-tty of Linux; the udev database as
sd-device reads it, /run/udev/data/cMAJOR:MINOR with lines `E:KEY=value`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.bus.ports import by_id, owner
from edge_agent.doctor.ports import Holder, Kind, Port
from edge_agent.doctor.probes import files, units

_PTY_MAJORS = range(136, 144)
_BUS_DRIVERS = ("port", "ctrl")
"""Of the kernel's own layers between a UART and its tty (since Linux 6.5): the one meant is above them."""
_NAMES = ("ttyUSB*", "ttyACM*")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the system keeps what is looked at."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    udev: Path = Path("/run/udev/data")
    runs: Callable[..., Sequence[str]] = field(default=units.running)
    """Which of some units run."""


def present(places: Places | None = None) -> list[str]:
    """The ports of adapters there are, by their best names."""
    places = places or Places()
    links = by_id.present(places.dev / "serial" / "by-id")
    named = {os.path.realpath(link) for link in links}
    found = sorted(str(path) for name in _NAMES for path in places.dev.glob(name))
    return [*links, *(path for path in found if os.path.realpath(path) not in named)]


def look(
    bus: str,
    path: str,
    *,
    wants_rs485: bool = False,
    agents: Iterable[int] = (),
    places: Places | None = None,
) -> Port:
    """`agents`: processes that are the agent's."""
    places = places or Places()
    real = Path(os.path.realpath(path))
    if not real.exists():
        return Port(
            bus=bus, path=path, others=tuple(present(places)),
            link_to=str(Path(path).readlink()) if Path(path).is_symlink() else "",
        )  # fmt: skip
    status = real.stat()
    if not stat.S_ISCHR(status.st_mode):
        return Port(bus=bus, path=path, real=str(real), kind=Kind.OTHER, node=files.node(real))
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    device = places.sys / "dev" / "char" / number
    name = real.name
    return Port(
        bus=bus,
        path=path,
        real=str(real),
        kind=_kind(places, device, os.major(status.st_rdev)),
        node=files.node(real),
        major=os.major(status.st_rdev),
        driver=_driver(device / "device"),
        driver_names=_driver_names(places, os.major(status.st_rdev)),
        by_id=by_id.better_name(path, places.dev / "serial" / "by-id"),
        holders=_holders(str(real), set(agents)),
        sees_all=os.geteuid() == 0,
        consoles=_consoles(places, name),
        getty=next(iter(places.runs(f"serial-getty@{name}.service", f"getty@{name}.service")), ""),
        modem_manager=_is_modem_managers(places, number),
        latency_ms=_latency(device / "device" / "latency_timer"),
        autosuspend=_autosuspend(device / "device"),
        wants_rs485=wants_rs485,
    )


def _kind(places: Places, device: Path, major: int) -> Kind:
    if major in _PTY_MAJORS:
        return Kind.PTY
    if (device / "subsystem").exists():
        return Kind.TTY if Path(os.path.realpath(device / "subsystem")).name == "tty" else Kind.OTHER
    # What is not shown in /sys, as in some containers, still has a driver in /proc/devices.
    names = _driver_names(places, major)
    if not names:
        return Kind.NO_DRIVER
    return Kind.TTY if any(name.startswith("tty") for name in names) else Kind.OTHER


def _driver(device: Path) -> str:
    place = Path(os.path.realpath(device))
    for one in (place, *place.parents):
        if (one / "driver").exists():
            name = Path(os.path.realpath(one / "driver")).name
            if name not in _BUS_DRIVERS:
                return name
        if one.name == "devices":
            break
    return ""


def _driver_names(places: Places, major: int) -> frozenset[str]:
    """Character devices of /proc/devices with this number."""
    text = _text(places.proc / "devices").partition("Block devices:")[0]
    rows = (line.split(None, 1) for line in text.splitlines() if line[:3].strip().isdecimal())
    return frozenset(name.strip().removeprefix("/dev/") for number, name in rows if int(number) == major)


def _holders(real: str, agents: set[int]) -> tuple[Holder, ...]:
    return tuple(Holder(pid=pid, name=name, is_agent=pid in agents) for pid, name in owner.others(real))


def _consoles(places: Places, name: str) -> tuple[str, ...]:
    words = _text(places.proc / "cmdline").split()
    said = [word.removeprefix("console=").partition(",")[0] for word in words if word.startswith("console=")]
    # A Raspberry Pi says console=serial0, a link in /dev.
    on_command_line = any(
        one == name or Path(os.path.realpath(places.dev / one)).name == name for one in said
    )
    active = name in _text(places.sys / "class" / "tty" / "console" / "active").split()
    return (*(["kernel command line"] if on_command_line else []), *(["active console"] if active else []))


def _is_modem_managers(places: Places, number: str) -> bool:
    """Whether it may probe this port: it runs, and udev says nothing against it."""
    said = _text(places.udev / f"c{number}")
    kept_off = "ID_MM_DEVICE_IGNORE=1" in said or "ID_MM_PORT_IGNORE=1" in said
    return not kept_off and "ID_BUS=usb" in said and bool(places.runs("ModemManager.service"))


def _latency(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _autosuspend(device: Path) -> bool:
    place = Path(os.path.realpath(device))
    usb = next((one for one in (place, *place.parents) if (one / "idVendor").exists()), None)
    return usb is not None and _text(usb / "power" / "control").strip() == "auto"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
