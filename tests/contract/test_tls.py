"""Modbus/TCP Security: whom the agent trusts, what it shows of itself, and what it says when it does not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import Block, PortDown, Values
from edge_agent.bus.ports import tls_port
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.errors import PortError
from edge_agent.model import NS, BusDef, MonoNs, TlsLink
from tests.contract.bus_slaves import TcpSlave
from tests.contract.certificates import Authority, Pair
from tests.contract.rigs import ask, manners, server_context
from tests.unit.bus.site import device, site


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture(scope="module")
def agent(authority) -> Pair:
    return authority.issue("agent")


@pytest.fixture
def serve() -> Iterator[Callable[[ssl.SSLContext | None], int]]:
    slaves: list[TcpSlave] = []

    def start(context: ssl.SSLContext | None) -> int:
        slaves.append(TcpSlave(tls=context) if context else TcpSlave(lambda request: b""))
        return slaves[-1].port

    yield start
    for slave in slaves:
        slave.close()


def link(port: int, ca: Path, pair: Pair | None = None, **more: str) -> TlsLink:
    files = {"cert": str(pair.cert), "key": str(pair.key)} if pair else {}
    return TlsLink(host="127.0.0.1", port=port, ca=str(ca), **files, **more)


def read(where: TlsLink):
    """The outcome of one read over a new connection. Raises what opening raises."""
    clock = SystemClock()
    line = make_line(BusDef(name="b", link=where), manners(), clock)
    line.open()
    try:
        (done,) = line.run([ask(1)], MonoNs(clock.mono_ns() + 60 * NS))
        if isinstance(done.outcome, PortDown):
            assert line.fault is not None
            raise line.fault
        return done.outcome
    finally:
        line.close()


def refusal(where: TlsLink) -> str:
    with pytest.raises(PortError) as caught:
        read(where)
    assert caught.value.reason == "tls"
    assert caught.value.hint
    assert f"127.0.0.1:{where.port}" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_is_read_with_certificates_on_both_sides(authority, agent, serve, version):
    context = server_context(authority.issue("device"), authority)
    context.maximum_version = version
    assert isinstance(read(link(serve(context), authority.ca, agent)), Values)


def test_the_devices_own_certificate_can_be_what_is_trusted(authority, serve):
    pair = authority.issue("pinned")
    other = authority.issue("other")
    assert isinstance(read(link(serve(server_context(pair)), pair.cert)), Values)
    assert "is not trusted" in refusal(link(serve(server_context(other)), pair.cert))


def test_a_certificate_made_out_to_a_name_is_accepted_under_that_name(authority, serve):
    port = serve(server_context(authority.issue("named", "DNS:press.plant")))
    assert "another IP address" in refusal(link(port, authority.ca))
    assert "another host name" in refusal(link(port, authority.ca, server_name="pump.plant"))
    assert isinstance(read(link(port, authority.ca, server_name="press.plant")), Values)


def test_another_authority_is_not_trusted(authority, stranger, serve):
    text = refusal(link(serve(server_context(stranger.issue("device"))), authority.ca))
    assert "is not trusted" in text
    assert "check ca" in text


def test_an_expired_certificate_is_told_as_that(authority, serve):
    text = refusal(link(serve(server_context(authority.issue("old", days=-1))), authority.ca))
    assert "has expired" in text
    assert "clock" in text


def test_a_plain_server_is_told_as_that(authority, serve, monkeypatch):
    monkeypatch.setattr(tls_port, "_HANDSHAKE_NS", NS // 10)
    assert "plain Modbus TCP" in refusal(link(serve(None), authority.ca))


def test_a_server_that_answers_nothing_ends_in_bounded_time(authority, monkeypatch):
    monkeypatch.setattr(tls_port, "_HANDSHAKE_NS", NS // 10)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "does not finish" in refusal(link(listener.getsockname()[1], authority.ca))


def test_a_server_that_speaks_something_else_or_hangs_up_is_told_as_that(authority):
    for greeting in (b"220 ftp ready\r\n", b""):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=_greet, args=(listener, greeting))
            thread.start()
            assert "is this port for TLS" in refusal(link(listener.getsockname()[1], authority.ca))
            thread.join()


def _greet(listener: socket.socket, greeting: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(greeting)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_that_wants_a_certificate_says_so(authority, stranger, serve, version):
    context = server_context(authority.issue("strict"), authority)
    context.maximum_version = version
    port = serve(context)
    assert "certificate of the agent" in refusal(link(port, authority.ca))
    assert "certificate of the agent" in refusal(link(port, authority.ca, stranger.issue("agent")))


def test_nothing_older_than_tls_1_2_is_spoken(authority):
    context = tls_port._context(link(1, authority.ca), "x")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_files_that_cannot_be_used_are_named(authority, agent, tmp_path):
    empty, missing = tmp_path / "empty.pem", tmp_path / "missing.pem"
    empty.write_text("")
    good = link(1, authority.ca, agent)
    for key in ("ca", "cert", "key"):
        broken: Any = {key: str(missing)}
        text = refusal(replace(good, **broken))
        assert f"{key} {missing}: No such file" in text
    assert f"ca {empty}: holds no certificate" in refusal(replace(good, ca=str(empty)))
    assert str(empty) in refusal(replace(good, cert=str(empty)))
    other = authority.issue("other-key")
    assert "does not belong to" in refusal(replace(good, key=str(other.key)))


def test_a_renewed_certificate_is_used_at_the_next_connection(authority, stranger, serve, tmp_path):
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(stranger.ca.read_bytes())
    port = serve(server_context(authority.issue("device")))
    assert "is not trusted" in refusal(link(port, trusted))
    trusted.write_bytes(authority.ca.read_bytes())
    assert isinstance(read(link(port, trusted)), Values)


def test_a_bus_thread_goes_on_when_tls_fails_and_its_status_says_why(authority, stranger, serve, tmp_path):
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(stranger.ca.read_bytes())
    port = serve(server_context(authority.issue("device")))
    where = site(device(poll_ms=20), link=link(port, trusted), timeout_ns=500_000_000)
    events: list[Any] = []
    worker = BusWorker(where, 0, 1, events.append, SystemClock(), Counters())
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        _until(lambda: any(_came_to(event, PortDown) for event in events))
        _until(lambda: worker.snapshot()["state"] == "tls")
        snapshot = worker.snapshot()
        assert snapshot["link"] == f"tls 127.0.0.1:{port}"
        assert "is not trusted" in snapshot["message"]
        assert snapshot["hint"]
        trusted.write_bytes(authority.ca.read_bytes())
        _until(lambda: any(_came_to(event, Values) for event in events))
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(10)


def _came_to(event, kind: type) -> bool:
    return isinstance(event, Block) and isinstance(event.outcome, kind)


def _until(condition) -> None:
    waited = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waited.wait(0.02)
    pytest.fail("it did not come")
