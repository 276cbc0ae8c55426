"""A cut relay lets nothing through, neither what was open nor what is new; a joined one everything."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.rigs.relay import Relay


@pytest.fixture
def echo():
    """The port of a server that gives back what it is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    while data := client.recv(100):
                        client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def asked(client: socket.socket) -> bytes:
    try:
        client.sendall(b"x")
        return client.recv(100)
    except OSError:
        return b""


def test_a_relay_carries_until_it_is_cut_and_again_when_it_is_joined(echo) -> None:
    with Relay(echo) as relay:
        with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
            assert asked(client) == b"x"
            relay.cut()
            assert asked(client) == b""
        with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
            assert asked(client) == b""
        relay.join()
        with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
            assert asked(client) == b"x"
