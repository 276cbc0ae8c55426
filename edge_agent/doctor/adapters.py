"""Judges the hardware behind a serial port: latency timer, power saving, RS-485 direction control. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.doctor.findings import Finding, Subject
from edge_agent.doctor.ports import CHECK, Port

GOOD_LATENCY_MS = 2
"""The timer's own default of 16 ms is what hurts."""
RULE = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'

_NO_RS485 = frozenset({"ftdi_sio", "cp210x", "ch341", "ch341-uart", "pl2303", "cdc_acm"})
"""USB drivers of Linux that do not know the ioctl TIOCSRS485. Of others only opening the port tells."""


def judge(port: Port) -> Iterator[Finding]:
    if not port.real:
        return
    if port.latency_ms is not None:
        yield _latency(port, port.latency_ms)
    if port.autosuspend:
        yield _about(port, "USB power").note(
            "power saving is on for this adapter; some do not come back from it",
            "if it vanishes while idle, switch that off by a udev rule:"
            ' ACTION=="add", SUBSYSTEM=="usb", ATTR{product}=="...", ATTR{power/control}="on"',
        )
    if port.wants_rs485:
        yield _rs485(port)


def _about(port: Port, what: str) -> Subject:
    return Subject(CHECK, f"{port.bus}: {what}" if port.bus else f"{port.real}: {what}")


def _latency(port: Port, latency_ms: int) -> Finding:
    about = _about(port, "latency timer")
    if latency_ms <= GOOD_LATENCY_MS:
        return about.ok(f"{latency_ms} ms")
    name = port.real.removeprefix("/dev/")
    seen = f"{latency_ms} ms: the adapter may keep each reply back for so long"
    remedy = (
        f"$ echo 1 | sudo tee /sys/bus/usb-serial/devices/{name}/latency_timer",
        "for ever by the udev rule that the package brings, and a re-plug; without the package:",
        f"$ echo '{RULE}' | sudo tee /etc/udev/rules.d/60-edge-agent.rules",
    )
    if any(one.is_agent for one in port.holders):
        return about.warning(seen, *remedy)
    return about.note(f"{seen}; the agent asks for less when it opens the port", *remedy)


def _rs485(port: Port) -> Finding:
    about = _about(port, "RS-485")
    if any(one.is_agent for one in port.holders):
        return about.ok("taken over by the driver: the agent would not keep the port open without")
    if port.driver in _NO_RS485:
        return about.fault(
            f"rs485 is configured, but driver {port.driver} cannot turn a transceiver round",
            "remove rs485: most USB adapters switch by themselves",
        )
    return about.skipped(
        f"whether driver {port.driver or 'unknown'} can do it shows only when the agent opens the port",
        "$ sudo edge-agent status",
    )
