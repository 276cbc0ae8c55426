"""Reaching a broker, and being refused, deceived or kept waiting by one."""

from __future__ import annotations

import resource
import select
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.errors import UplinkError
from edge_agent.uplink.outbox import MemoryOutbox
from edge_agent.uplink.sender import Sender
from tests.contract.broker import Broker, free_port
from tests.contract.certificates import Authority
from tests.contract.stub_broker import (
    CONNACK_5,
    CONNACK_311,
    StubBroker,
    answers,
    publish_id,
    read_packet,
    replies,
)
from tests.contract.uplink_rig import FAST, MS, Running, site

PUBLISH_200_MB = b"\x30" + b"\x80\x90\xaf\x5f"
_PINGREQ = 0xC0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def _password(directory: Path, text: str = "secret\n") -> str:
    path = directory / "password"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


# --- logging in -----------------------------------------------------------------------------------


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_told_apart_and_the_right_one_works(tmp_path: Path, protocol: str) -> None:
    with Broker(tmp_path, users={"agent": "secret"}) as broker:
        wrong = _password(tmp_path, "guess")
        with Running(broker.url, username="agent", password_file=wrong, protocol=protocol) as running:
            running.until(lambda: running.sender.snapshot()["cause"] in ("not_authorised", "credentials"))
            # Read again at each connection: mending the file is enough, a newline at its end does no harm.
            _password(tmp_path)
            running.until_state("connected")


def test_an_unreadable_password_file_is_named(tmp_path: Path) -> None:
    with Running("mqtt://127.0.0.1:1", username="agent", password_file=str(tmp_path / "none")) as running:
        assert str(tmp_path / "none") in running.until_cause("files")["error"]


def test_a_password_file_open_to_everybody_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(_password(tmp_path))
    path.chmod(0o644)
    with Running("mqtt://127.0.0.1:1", username="agent", password_file=str(path)) as running:
        running.until_cause("unreachable")
    assert "chmod" in caplog.text and "secret" not in caplog.text


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.needs("mosquitto")
def test_records_travel_over_tls_with_a_client_certificate(tmp_path: Path, authority: Authority) -> None:
    server, client = authority.issue("server"), authority.issue("client")
    with Broker(tmp_path, ca=authority.ca, cert=server.cert, key=server.key, client_cert=True) as broker:
        with Running(broker.url, ca=str(authority.ca), cert=str(client.cert), key=str(client.key)) as running:
            running.append("sample", *(b"%d" % number * 1000 for number in range(30)))
            running.until_sent()
        with Running(broker.url, ca=str(authority.ca)) as without:
            without.until(lambda: without.count("uplink_failures") >= 1)
            assert without.count("uplink_connects") == 0


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize(
    ("names", "days", "cause"),
    [
        ("DNS:elsewhere.example", 5, "tls_name"),
        ("IP:127.0.0.2", 5, "tls_name"),
        ("IP:127.0.0.1", -1, "tls_expired"),
    ],
)
def test_a_wrong_certificate_is_refused_and_the_cause_is_named(
    tmp_path: Path, authority: Authority, names: str, days: int, cause: str
) -> None:
    server = authority.issue(f"server{days}{names[-3:]}", names, days)
    with (
        Broker(tmp_path, cert=server.cert, key=server.key) as broker,
        Running(broker.url, ca=str(authority.ca)) as running,
    ):
        running.until_cause(cause)


@pytest.mark.needs("mosquitto")
def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    server = authority.issue("stranger")
    other = Authority(tmp_path, "other")
    with (
        Broker(tmp_path, cert=server.cert, key=server.key) as broker,
        Running(broker.url, ca=str(other.ca)) as running,
    ):
        assert running.until_cause("tls_untrusted")["hint"] == "check ca"


@pytest.mark.needs("mosquitto")
def test_tls_to_a_plain_port_and_files_that_are_wrong_are_named(tmp_path: Path, authority: Authority) -> None:
    good, other = authority.issue("one"), authority.issue("two")
    with Broker(tmp_path) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        with Running(url, ca=str(authority.ca)) as running:
            running.until(lambda: running.sender.snapshot()["cause"] in ("tls", "timeout"))
    for files, cause in (
        ({"ca": str(good.key)}, "files"),
        ({"ca": str(tmp_path / "none")}, "files"),
        ({"ca": str(authority.ca), "cert": str(good.cert), "key": str(other.key)}, "files"),
    ):
        uplink: dict[str, Any] = dict(files)
        with Running(f"mqtts://127.0.0.1:{free_port()}", **uplink) as running:
            running.until_cause(cause)


# --- refusals and versions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connack", "cause"),
    [
        (b"\x20\x03\x00\x86\x00", "credentials"),
        (b"\x20\x03\x00\x87\x00", "not_authorised"),
        (b"\x20\x03\x00\x89\x00", "server_busy"),
        (b"\x20\x03\x00\x8a\x00", "banned"),
        (b"\x20\x03\x00\x85\x00", "client_id"),
        (b"\x20\x03\x00\x9d\x00", "refused"),
    ],
)
def test_refusals_are_told_apart(connack: bytes, cause: str) -> None:
    with StubBroker(replies(connack)) as broker, Running(broker.url) as running:
        assert running.until_cause(cause)["error"]
        assert set(broker.versions) == {5}


@pytest.mark.parametrize("refusal", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
def test_3_1_1_follows_an_explicit_refusal_of_the_version(refusal: bytes) -> None:
    accept = answers(CONNACK_311, lambda mid: b"\x40\x02" + mid)
    with StubBroker(replies(refusal), accept) as broker, Running(broker.url) as running:
        running.append("sample", b"1")
        running.until_sent()
        assert broker.versions[:2] == [5, 4]
        assert running.sender.snapshot()["protocol"] == "3.1.1"


def test_mqtt_5_is_asked_for_again_after_a_connection_with_3_1_1() -> None:
    refuse = replies(b"\x20\x02\x00\x01")
    gone = replies(CONNACK_311, linger=False)
    accept = answers(CONNACK_5, lambda mid: b"\x40\x02" + mid)
    with StubBroker(refuse, gone, accept) as broker, Running(broker.url) as running:
        running.append("sample", b"1")
        running.until_sent()
        assert broker.versions == [5, 4, 5]
        assert running.sender.snapshot()["protocol"] == "5"


def test_3_1_1_never_follows_silence_or_a_closed_connection() -> None:
    def silent(connection: socket.socket, _connect: bytes) -> None:
        connection.recv(1)

    with StubBroker(silent, replies(linger=False)) as broker, Running(broker.url) as running:
        running.until(lambda: len(broker.connects) >= 4)
        assert set(broker.versions) == {5}


def test_a_version_that_was_chosen_is_kept() -> None:
    with StubBroker(replies(b"\x20\x02\x00\x01")) as broker, Running(broker.url, protocol="5") as running:
        running.until(lambda: len(broker.connects) >= 3)
        assert set(broker.versions) == {5}


def test_plain_mqtt_beyond_loopback_needs_the_word_insecure() -> None:
    with pytest.raises(UplinkError, match="insecure"), Running("mqtt://broker.example"):
        raise AssertionError
    Running("mqtt://broker.example", insecure=True)


# --- brokers that lie -----------------------------------------------------------------------------


def test_a_rogue_broker_cannot_fill_the_memory() -> None:
    def rogue(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(CONNACK_5 + PUBLISH_200_MB + b"\0\1a")
        block = b"x" * 1_000_000
        for _ in range(200):
            connection.sendall(block)

    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with StubBroker(rogue) as broker, Running(broker.url) as running:
        assert "bound" in running.until_cause("protocol")["error"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


@pytest.mark.parametrize(
    "packet",
    [
        b"\xff\xff\xff\xff\xff",
        b"\x00\x00",
        b"\x34\x07\x00\x01a\x00\x01\x00x",
        b"\x40\x01\x00",
        b"\x30\x02\xff\xff",
        b"\x40\x04\x00\x01\x00\x7f",
        b"\x90\x00",
        b"\x20\xff\xff\x7f",
        b"\xe0\x02\x8e",
    ],
)
def test_malformed_packets_end_the_connection_and_nothing_else(packet: bytes) -> None:
    accept = answers(CONNACK_5, lambda mid: b"\x40\x02" + mid)
    rogue = replies(CONNACK_5, packet, linger=False)
    with StubBroker(rogue, rogue, accept) as broker, Running(broker.url) as running:
        running.append("sample", b"1")
        running.until_sent()


def test_acknowledgements_of_unknown_messages_are_ignored() -> None:
    accept = answers(CONNACK_5, lambda mid: b"\x40\x02\x77\x77" + (b"\x40\x02" + mid) * 2)
    with StubBroker(accept) as broker, Running(broker.url) as running:
        running.append("sample", b"1", b"2", b"3")
        running.until_sent()
        assert running.count("uplink_connects") == 1


def test_a_quota_makes_everything_wait_and_come_again() -> None:
    refused: list[bytes] = []

    def answer(mid: bytes) -> bytes:
        if len(refused) < 2:
            refused.append(mid)
            return b"\x40\x04" + mid + b"\x97\x00"
        return b"\x40\x02" + mid

    with StubBroker(answers(CONNACK_5, answer)) as broker, Running(broker.url) as running:
        running.append("sample", b"1", b"2")
        running.until_sent()
        assert running.count("uplink_paused") == 2 and running.count("uplink_refused") == 0


def test_the_broker_s_receive_maximum_is_kept() -> None:
    # Receive Maximum 1: property 0x21, two bytes.
    connack = b"\x20\x06\x00\x00\x03\x21\x00\x01"
    early: list[int] = []

    def slow(mid: bytes, connection: socket.socket) -> bytes:
        """Nothing more may come before the answer."""
        readable, _, _ = select.select([connection], [], [], 0.02)
        early.append(len(readable))
        return b"\x40\x02" + mid

    def one_by_one(connection: socket.socket, hello: bytes) -> None:
        answers(connack, lambda mid: slow(mid, connection))(connection, hello)

    with StubBroker(one_by_one) as broker, Running(broker.url) as running:
        running.append("sample", *(b"%d" % number for number in range(20)))
        running.until(lambda: not running.outbox.waiting())
    assert len(early) >= 20
    assert not any(early)


def test_a_name_server_that_hangs_holds_neither_the_loop_nor_more_than_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Semaphore(0)
    release = threading.Event()

    def hang(*_: object, **__: object) -> socket.socket:
        asked.release()
        release.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "create_connection", hang)
    tuning = replace(FAST, dial_timeout_ns=50 * MS)
    with Running("mqtt://localhost:1", tuning=tuning) as running:
        running.until_cause("timeout")
        assert "hangs" in running.until_cause("dns")["error"]
        running.until(lambda: running.count("uplink_failures") > 4)
        assert sum(thread.name == "uplink-dial" for thread in threading.enumerate()) == 1
        assert running.sender.heartbeat.inside == "loop"
        release.set()
    assert asked.acquire(blocking=False)


def test_a_name_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> socket.socket:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", none)
    with Running("mqtts://nowhere.invalid") as running:
        assert "nowhere.invalid is not found" in running.until_cause("dns")["error"]


def test_a_bad_host_name_is_an_input_error() -> None:
    with pytest.raises(UplinkError, match="host name"):
        Sender(site("mqtts://" + "a" * 64 + ".example"), MemoryOutbox(), SystemClock(), Counters())


@pytest.mark.parametrize("seconds", [0, 1, 600])
def test_a_broker_that_sets_a_longer_keep_alive_is_asked_as_often_as_configured(seconds: int) -> None:
    pings = threading.Event()

    def watched(connection: socket.socket, packet: bytes) -> None:
        connection.sendall(b"\x20\x06\x00\x00\x03\x13" + seconds.to_bytes(2))
        while (packet := read_packet(connection) or b"") and packet[0] != _PINGREQ:
            if packet[0] >> 4 == 3:
                connection.sendall(b"\x40\x02" + publish_id(packet))
        if packet:
            pings.set()

    with StubBroker(watched) as broker, Running(broker.url, keepalive_s=1):
        assert pings.wait(20), "it would take the broker's silence for its end"
