"""A resolver that hangs holds neither the bus nor more than one thread."""

from __future__ import annotations

import socket
import threading

import pytest

from edge_agent.bus.ports.resolver import Resolver
from edge_agent.clock import SystemClock
from edge_agent.errors import PortError
from edge_agent.model import TcpLink

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 502))]


class NameServer:
    """Answers when told to; counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = threading.Event()

    def __call__(self, *_, **__):
        self.asked += 1
        self.answer.wait()
        return ANSWER


def test_attempts_at_a_dead_name_server_share_one_look_up(monkeypatch) -> None:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    stopped = True  # nobody waits for the time to pass
    resolver = Resolver(TcpLink(host="plc.local"), SystemClock(), lambda: stopped)
    for _ in range(20):
        with pytest.raises(PortError, match="the name server does not answer"):
            resolver.address()
    assert server.asked == 1
    server.answer.set()
    stopped = False
    assert resolver.address() == (socket.AF_INET, ("192.0.2.7", 502))
    assert resolver.address() == (socket.AF_INET, ("192.0.2.7", 502))
    assert server.asked == 2


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label")])
def test_a_name_that_is_not_known_says_so_each_time(monkeypatch, error) -> None:
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    resolver = Resolver(TcpLink(host="plc.local"), SystemClock(), lambda: False)
    for _ in range(2):
        with pytest.raises(PortError, match=r"plc.local:502: unknown host: (Name|label)"):
            resolver.address()


def test_a_numeric_address_needs_no_thread(monkeypatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))
    resolver = Resolver(TcpLink(host="127.0.0.1", port=1502), SystemClock(), lambda: True)
    assert resolver.address() == (socket.AF_INET, ("127.0.0.1", 1502))
