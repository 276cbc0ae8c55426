"""RS-485 by the driver: the exact bytes of the ioctl, and no driver that is believed without proof."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable

import pytest

from edge_agent.bus.ports import port as port_module
from edge_agent.bus.ports import rs485
from edge_agent.clock import SystemClock
from edge_agent.errors import PortError
from edge_agent.model import Rs485, SerialLink
from tests.contract.bus_slaves import PtySlave

ENABLED, ON_SEND, AFTER_SEND, RX = 1, 2, 4, 16


@pytest.mark.parametrize(
    ("setting", "flags", "before", "after"),
    [
        (Rs485(), ENABLED | ON_SEND, 0, 0),
        (Rs485(rts_on_send=False), ENABLED | AFTER_SEND, 0, 0),
        (Rs485(rx_during_tx=True), ENABLED | ON_SEND | RX, 0, 0),
        (Rs485(delay_before_send_ms=1, delay_after_send_ms=100), ENABLED | ON_SEND, 1, 100),
    ],
)
def test_the_argument_is_struct_serial_rs485_byte_for_byte(setting, flags, before, after):
    said: list[tuple[int, int, bytes]] = []

    rs485.apply(7, setting, "/dev/x", lambda fd, request, data: said.append((fd, request, bytes(data))))

    words = [flags, before, after, 0, 0, 0, 0, 0]
    assert said == [(7, 0x542F, b"".join(word.to_bytes(4, sys.byteorder) for word in words))]


@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.EIO, errno.EBADF])
def test_a_driver_without_it_is_an_error_with_a_hint(code):
    def refuse(fd, request, data):
        raise OSError(code, os.strerror(code))

    with pytest.raises(PortError) as caught:
        rs485.apply(7, Rs485(), "/dev/ttyUSB0", refuse)
    assert caught.value.reason == "io"
    assert caught.value.hint
    assert "/dev/ttyUSB0" in str(caught.value)


def made_of_it(*words: int) -> Callable[[int, int, bytearray], None]:
    """A driver that answers with another setting than it was given."""

    def answer(fd: int, request: int, data: bytearray) -> None:
        data[:12] = struct.pack("=3I", *words)

    return answer


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ((0, 1, 2), "mode"),
        ((ENABLED | AFTER_SEND | RX, 1, 2), "rts_on_send"),
        ((ENABLED | ON_SEND, 1, 2), "rx_during_tx"),
        ((ENABLED | ON_SEND | RX, 0, 2), "delay_before_send (it makes 0 ms of it)"),
        ((ENABLED | ON_SEND | RX, 1, 0), "delay_after_send (it makes 0 ms of it)"),
    ],
)
def test_what_a_driver_drops_in_silence_is_named(answer, key):
    setting = Rs485(rx_during_tx=True, delay_before_send_ms=1, delay_after_send_ms=2)
    with pytest.raises(PortError) as caught:
        rs485.apply(7, setting, "/dev/ttyS1", made_of_it(*answer))
    assert key in str(caught.value)
    assert caught.value.hint


def test_a_port_whose_driver_cannot_do_it_does_not_open_and_is_not_kept():
    """A pseudo-terminal is such a port."""
    slave = PtySlave()
    try:
        with pytest.raises(PortError, match="no RS-485 direction control"):
            port_module.open_port(SerialLink(path=slave.path, rs485=Rs485()), SystemClock())
        port_module.open_port(SerialLink(path=slave.path), SystemClock()).close()
    finally:
        slave.close()


def test_the_ioctl_is_only_made_where_it_is_asked_for(monkeypatch):
    slave, said = PtySlave(), []
    monkeypatch.setattr(rs485, "apply", lambda fd, setting, path: said.append(setting))
    for setting in (None, Rs485(rts_on_send=False)):
        port_module.open_port(SerialLink(path=slave.path, rs485=setting), SystemClock()).close()
    slave.close()
    assert said == [Rs485(rts_on_send=False)]
