"""Judges a serial port: is it there, may the service open it, has somebody else got it. Pure.

`adapters` judges what the hardware behind it could do better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from edge_agent.doctor import access
from edge_agent.doctor.access import Node, User
from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, command
from edge_agent.doctor.unit import Unit

CHECK = "ports"
_TOLD = 3


class Kind(Enum):
    TTY = "tty"
    PTY = "pseudo-terminal"
    NO_DRIVER = "a device file with nothing behind it"
    OTHER = "something else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has the port open."""

    pid: int
    name: str
    is_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What there is to know of a port without opening it."""

    bus: str
    """Empty: no bus of the configuration, only found on this machine."""
    path: str
    real: str = ""
    """Behind all links; empty when nothing is there."""
    link_to: str = ""
    """What a link that leads nowhere names."""
    kind: Kind = Kind.TTY
    node: Node | None = None
    major: int = 0
    driver: str = ""
    driver_names: frozenset[str] = frozenset()
    """Of the node's major number, as /proc/devices has them: what a rule `char-NAME` refers to."""
    others: tuple[str, ...] = ()
    """The ports that are there instead."""
    by_id: str = ""
    """The name that survives a re-plug, where `path` does not."""
    holders: tuple[Holder, ...] = ()
    sees_all: bool = True
    """False: programs of other users could not be looked at."""
    consoles: tuple[str, ...] = ()
    """Why it is the system's console: `kernel command line`, ..."""
    getty: str = ""
    """The unit of a login prompt on it."""
    modem_manager: bool = False
    """ModemManager runs, and nothing keeps it off this port."""
    latency_ms: int | None = None
    autosuspend: bool = False
    wants_rs485: bool = False


def judge(port: Port, user: User, unit: Unit) -> Iterator[Finding]:
    about = Subject(CHECK, f"{port.bus}: {port.path}" if port.bus else port.path)
    if not port.real:
        yield _missing(about, port)
        return
    if port.kind is Kind.OTHER:
        yield about.fault("is no serial port", "write the port's own name, such as /dev/ttyUSB0")
        return
    if port.kind is Kind.NO_DRIVER:
        yield about.fault(
            f"no driver serves it (number {port.major})",
            "re-plug the adapter, and see what the kernel says:",
            "$ sudo dmesg | tail -n 20",
        )
        return
    yield about.ok(_seen(port))
    yield from _name(port)
    yield _permission(port, user)
    yield from _device_allow(port, unit)
    yield _holder(port)
    yield from _console(port)


def _about(port: Port, what: str) -> Subject:
    return Subject(CHECK, f"{port.bus}: {what}" if port.bus else f"{port.real}: {what}")


def _missing(about: Subject, port: Port) -> Finding:
    leads = f", a link to {port.link_to}, which is gone" if port.link_to else ""
    if not port.others:
        return about.fault(
            f"is not there{leads}",
            "is the adapter plugged in? no serial adapter is",
            "$ sudo dmesg | tail -n 20",
        )
    listed = ", ".join(port.others[:_TOLD]) + (", ..." if len(port.others) > _TOLD else "")
    one = f'if the adapter was exchanged, write: serial = "{port.others[0]}"' if len(port.others) == 1 else (
        "if the adapter was exchanged, write one of these as serial"
    )  # fmt: skip
    return about.fault(f"is not there{leads}; what is: {listed}", one)


def _seen(port: Port) -> str:
    behind = f"{port.real}, " if port.real != port.path else ""
    kind = "a pseudo-terminal" if port.kind is Kind.PTY else f"driver {port.driver or 'unknown'}"
    return f"{behind}{kind}"


def _name(port: Port) -> Iterator[Finding]:
    if port.by_id:
        about = _about(port, "name")
        use = f'serial = "{port.by_id}"'
        yield about.note(
            f"the number of {port.path} may change with a re-plug", f"write: {use}" if port.bus else use
        )


def _permission(port: Port, user: User) -> Finding:
    node, about = port.node, _about(port, "permission")
    assert node is not None, "a port that is there has a node"
    if access.allows(user, node, access.READ | access.WRITE):
        return about.ok(f"{node}, {user.name} may use it")
    seen = f"{user.name} may not use it: {node}"
    if node.mode & 0o060 == 0o060 and node.gid and node.group not in ("", "root", "tty"):
        again = "$ sudo systemctl restart edge-agent" if user.is_service else "then log in again"
        return about.fault(seen, f"$ sudo usermod -aG {node.group} {user.name}", again)
    if port.kind is Kind.PTY:
        return about.fault(seen, "a pseudo-terminal: the program that made it says who may use it")
    if port.consoles or port.getty or node.group == "tty":
        return about.fault(seen, "it belongs to the system's console; free it from that first, see below")
    return about.fault(
        seen,
        'until the next boot or re-plug; for ever by a udev rule with GROUP="dialout", MODE="0660":',
        command("sudo", "chgrp", "dialout", port.real),
        command("sudo", "chmod", "660", port.real),
    )


def _device_allow(port: Port, unit: Unit) -> Iterator[Finding]:
    """Whether the sandbox of the unit lets the service at this driver."""
    # `auto` with any rule is as closed, systemd.resource-control(5).
    is_open = unit.device_policy not in ("closed", "strict") and not unit.device_allow
    if not unit.is_known or is_open or port.kind is Kind.PTY:
        return
    about = _about(port, "sandbox")
    if _is_allowed(port, unit):
        yield about.ok(f"the unit allows devices of number {port.major}")
        return
    yield about.fault(
        f"the unit allows no devices of number {port.major} (driver {port.driver or 'unknown'})",
        "a drop-in of your own allows them; it survives upgrades:",
        f"$ sudo mkdir -p /etc/systemd/system/{unit.name}.d",
        f"$ printf '[Service]\\nDeviceAllow=char-{port.major} rw\\n' | sudo tee"
        f" /etc/systemd/system/{unit.name}.d/port.conf",
        "$ sudo systemctl daemon-reload",
        f"$ sudo systemctl restart {unit.name.removesuffix('.service')}",
    )


def _is_allowed(port: Port, unit: Unit) -> bool:
    names = {f"char-{port.major}", port.path, port.real} | {f"char-{name}" for name in port.driver_names}
    for rule in unit.device_allow:
        device, _, rights = rule.partition(" ")
        if {"r", "w"} <= set(rights) and device in names:
            return True
    return False


def _holder(port: Port) -> Finding:
    about = _about(port, "use")
    foreign = [one for one in port.holders if not one.is_agent]
    if foreign:
        who = ", ".join(f"{one.name} (pid {one.pid})" for one in foreign)
        return about.fault(f"in use by {who}", *_stop(foreign[0], port))
    if port.holders:
        return about.ok(f"in use by the agent (pid {port.holders[0].pid})")
    if not port.sees_all:
        return about.skipped(
            "no program of yours has it open; those of others are seen by root only", AS_ROOT
        )
    return about.ok("nobody has it open")


def _stop(who: Holder, port: Port) -> tuple[str, ...]:
    if who.name == "ModemManager":
        return ("it asks every serial port whether it is a modem", "$ sudo systemctl mask --now ModemManager")
    if who.name in ("agetty", "getty", "login", "(agetty)"):
        return (_no_getty(port.getty or f"serial-getty@{port.real.removeprefix('/dev/')}.service"),)
    return (
        "two masters on one line garble each other: stop that program, or give it another port",
        f"$ ps -o pid,user,lstart,args -p {who.pid}",
    )


def _console(port: Port) -> Iterator[Finding]:
    about = _about(port, "console")
    if port.getty:
        yield about.fault(f"a login prompt runs on it ({port.getty})", _no_getty(port.getty))
    if port.consoles:
        yield about.warning(
            f"it is the system's console ({', '.join(port.consoles)}): the kernel writes to the bus",
            "take console=... out of the kernel command line (/boot/firmware/cmdline.txt, or"
            " /etc/default/grub and then sudo update-grub), and reboot",
        )
    if port.modem_manager:
        yield _about(port, "ModemManager").warning(
            "it runs, and asks this port whether it is a modem each time it is plugged in",
            "$ sudo systemctl mask --now ModemManager",
        )


def _no_getty(unit: str) -> str:
    return f"$ sudo systemctl mask --now {unit}"
