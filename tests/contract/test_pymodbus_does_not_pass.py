"""Why pymodbus does not carry ASCII, device servers and TLS: what it does where a line must not fail.

docs/decisions/0006. Each test states what pymodbus 3.16 does with a fault that `test_lines` and `test_tls`
hold our lines to. When one of them fails after an update, the decision is to be looked at again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.client import (
    AsyncModbusSerialClient,
    AsyncModbusTcpClient,
    ModbusSerialClient,
    ModbusTcpClient,
    ModbusTlsClient,
)
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerAscii, FramerTLS
from pymodbus.pdu import DecodePDU

from tests.contract.bus_slaves import PtySlave, Slave, TcpSlave
from tests.contract.certificates import Authority
from tests.contract.framings import ASCII, RTU, WRONG_COUNT, WRONG_FUNCTION, answer
from tests.contract.rigs import server_context

IMPATIENT = {"timeout": 0.3, "retries": 0}
VALUE_OF_50 = [151, 154]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    # Clients leave sockets and transports behind: they go here, and not in somebody else's test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def ascii_slave() -> Iterator[PtySlave]:
    slave = PtySlave(framing=ASCII)
    yield slave
    slave.close()


@pytest.fixture
def device_server() -> Iterator[TcpSlave]:
    slave = TcpSlave(framing=RTU)
    yield slave
    slave.close()


def _be_late_once(slave: Slave) -> None:
    """The device is still at its first reply when the second request comes: it says both, in turn."""
    held: list[bytes] = []

    def reply(request: bytes) -> bytes:
        own = answer(slave.framing, request)
        if not held:
            held.append(own)
            return b""
        return held[0] + own

    slave.reply = reply


def _after_a_late_reply(client, slave: Slave) -> list[int]:
    """What a read of address 900 gives when the reply to one of address 50 comes late."""
    assert client.connect()
    _be_late_once(slave)
    with pytest.raises(ModbusIOException):
        client.read_holding_registers(50, count=2, device_id=1)
    reply = client.read_holding_registers(900, count=2, device_id=1)
    client.close()
    assert not reply.isError()
    return reply.registers


async def _after_a_late_reply_async(make: Callable[[], Any], slave: Slave) -> list[int]:
    client = make()
    assert await client.connect()
    _be_late_once(slave)
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(50, count=2, device_id=1)
    reply = await client.read_holding_registers(900, count=2, device_id=1)
    client.close()
    assert not reply.isError()
    return reply.registers


def test_a_late_ascii_reply_is_given_to_the_next_request(ascii_slave):
    client = ModbusSerialClient(ascii_slave.path, framer=FramerType.ASCII, **IMPATIENT)
    assert _after_a_late_reply(client, ascii_slave) == VALUE_OF_50


def test_a_late_ascii_reply_is_given_to_the_next_request_of_the_async_client_too(ascii_slave):
    make = partial(AsyncModbusSerialClient, ascii_slave.path, framer=FramerType.ASCII, **IMPATIENT)
    assert asyncio.run(_after_a_late_reply_async(make, ascii_slave)) == VALUE_OF_50


def test_a_late_reply_of_a_device_server_is_given_to_the_next_request(device_server):
    where = {"host": "127.0.0.1", "port": device_server.port, "framer": FramerType.RTU, **IMPATIENT}
    assert _after_a_late_reply(ModbusTcpClient(**where), device_server) == VALUE_OF_50
    slow = _after_a_late_reply_async(partial(AsyncModbusTcpClient, **where), device_server)
    assert asyncio.run(slow) == VALUE_OF_50


@pytest.mark.parametrize("unit", [WRONG_FUNCTION, WRONG_COUNT])
def test_an_ascii_reply_to_another_request_is_accepted(ascii_slave, unit):
    client = ModbusSerialClient(ascii_slave.path, framer=FramerType.ASCII, **IMPATIENT)
    assert client.connect()
    assert not client.read_holding_registers(50, count=4, device_id=unit).isError()
    client.close()


def test_a_colon_of_noise_raises_and_a_damaged_frame_takes_a_good_one_with_it():
    framer = FramerAscii(DecodePDU(False))
    good = framer.encode(bytes((3, 4, 0, 1, 0, 2)), 1, 0)
    assert framer.decode(good)[3]
    with pytest.raises(ValueError, match="invalid literal"):
        framer.decode(b":" + good)
    used, _, _, pdu = framer.decode(good.replace(b"0304", b"03G4") + good)
    assert (used, pdu) == (2 * len(good), b"")


def test_the_tls_framer_neither_joins_a_split_frame_nor_parts_two():
    framer = FramerTLS(DecodePDU(False))
    frame = framer.encode(bytes((3, 4, 0, 1, 0, 2)), 1, 7)
    assert framer.decode(frame[:7]) == (7, 0, 0, b"")
    assert framer.decode(frame[:9])[3] == b"\x03\x04"
    assert framer.decode(frame + frame)[3] == frame[7:] + frame


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_tls_client_can_check_no_host_name(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("device")
    slave = TcpSlave(tls=server_context(pair))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.ca)
    with pytest.raises(ValueError, match="server_hostname"):
        ModbusTlsClient("127.0.0.1", port=slave.port, sslctx=context, **IMPATIENT).connect()
    slave.close()
