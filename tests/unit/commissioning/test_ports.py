"""Which serial ports are offered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.commissioning import ports


class Machine:
    """/dev, /sys/class/tty and /dev/serial/by-id of a machine that is not there.

    A character device cannot be made without root, so each is a link to /dev/null."""

    def __init__(self, folder: Path) -> None:
        self.dev, self.sys, self.links = folder / "dev", folder / "sys", folder / "by-id"
        for made in (self.dev, self.sys, self.links):
            made.mkdir()

    def uart(self, name: str, kind: int) -> None:
        self.tty(name)
        (self.sys / name).mkdir()
        (self.sys / name / "type").write_text(f"{kind}\n")

    def tty(self, name: str) -> None:
        (self.dev / name).symlink_to(os.devnull)

    def names(self) -> list[str]:
        return [Path(one.device).name for one in ports.present(self.dev, self.sys, self.links)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_uart_without_a_chip_is_no_port(machine):
    machine.uart("ttyS0", 4)
    machine.uart("ttyS1", 0)
    machine.tty("ttyS2")
    assert machine.names() == ["ttyS0"]


def test_adapters_come_first_and_in_the_order_of_their_numbers(machine):
    machine.uart("ttyS0", 4)
    for name in ("ttyAMA0", "ttyUSB10", "ttyUSB2", "ttyACM0"):
        machine.tty(name)
    assert machine.names() == ["ttyUSB2", "ttyUSB10", "ttyACM0", "ttyAMA0", "ttyS0"]


def test_consoles_pseudo_terminals_and_plain_files_are_none(machine):
    for name in ("tty", "tty1", "ttyp0", "console", "ttyUSB", "ttyUSBx", "ptmx"):
        machine.tty(name)
    (machine.dev / "ttyUSB0").write_text("a file")
    (machine.dev / "ttyUSB1").symlink_to(machine.dev / "gone")
    assert machine.names() == []


def test_the_steady_name_is_the_one_to_write(machine, monkeypatch):
    machine.tty("ttyUSB0")
    link = machine.links / "usb-FTDI_A50285BI-if00-port0"
    link.symlink_to(machine.dev / "ttyUSB0")
    monkeypatch.setattr(os.path, "realpath", lambda path: str(machine.dev / "ttyUSB0"))
    (found,) = ports.present(machine.dev, machine.sys, machine.links)
    assert (found.path, found.device) == (str(link), str(machine.dev / "ttyUSB0"))


def test_a_machine_without_dev_has_no_ports(tmp_path):
    assert ports.present(tmp_path / "none", tmp_path, tmp_path) == []
