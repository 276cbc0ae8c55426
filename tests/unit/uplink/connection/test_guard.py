"""Packet boundaries in any pieces, and what is refused at its header."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.uplink.connection.guard import GuardedSocket, GuardError, PacketGuard

LIMIT = 1000


def _packet(first: int, length: int) -> bytes:
    head, rest = bytes([first]), length
    while True:
        rest, low = rest >> 7, rest & 0x7F
        head += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return head + b"\xff" * length


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from([0x20, 0x30, 0x32, 0x40, 0xD0]), st.integers(0, LIMIT)), max_size=6),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
)
def test_good_packets_pass_however_they_are_cut(packets: list[tuple[int, int]], cuts: list[int]) -> None:
    guard, data = PacketGuard(LIMIT), b"".join(_packet(*packet) for packet in packets)
    while data:
        size = cuts[0]
        cuts = [*cuts[1:], size]
        guard.feed(data[:size])
        data = data[size:]


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 200_000_000])
@pytest.mark.parametrize("piece", [1, 2, 3, 1 << 20])
def test_a_packet_beyond_the_bound_is_refused_before_its_body(length: int, piece: int) -> None:
    guard = PacketGuard(LIMIT)
    data = _packet(0x40, 5) + _packet(0x30, min(length, 2000))
    if length > 2000:
        data = _packet(0x40, 5) + b"\x30\x80\x84\xaf\x5f"
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    if length <= LIMIT:
        for part in pieces:
            guard.feed(part)
        return
    with pytest.raises(GuardError, match="is the bound"):
        for part in pieces:
            guard.feed(part)


def test_a_length_without_end_and_qos_2_are_refused() -> None:
    with pytest.raises(GuardError, match="no end"):
        PacketGuard(LIMIT).feed(b"\x30\x80\x80\x80\x80")
    with pytest.raises(GuardError, match="QoS 2"):
        PacketGuard(LIMIT).feed(b"\x34")


class _Watched(socket.socket):
    """Notes which options are set."""

    def setsockopt(self, *arguments: Any) -> None:
        options.append(arguments)
        super().setsockopt(*arguments)


options: list[tuple[Any, ...]] = []


def test_what_arrived_is_acknowledged_at_once_each_time() -> None:
    """Else a broker with Nagle's algorithm keeps the PUBACK of an alarm back behind that of the backlog."""
    options.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = _Watched(socket.AF_INET, socket.SOCK_STREAM)
        near.connect(server.getsockname())
        far, _ = server.accept()
        guarded = GuardedSocket(near, LIMIT)
        with near, far:
            for count in (1, 2):
                far.sendall(b"\x40\x02\x00\x01")
                assert guarded.recv(100) == b"\x40\x02\x00\x01"
                assert options == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)] * count


def test_a_connection_that_is_no_tcp_is_read_all_the_same() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"\xd0\x00")
        assert GuardedSocket(near, LIMIT).recv(100) == b"\xd0\x00"
