"""Brokers that say no: to a topic, to a record, or by hanging up. The rest goes on, nothing is silent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model import MonoNs, Severity, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.records import decode
from edge_agent.records.events import Gap
from edge_agent.records.values import Loss
from edge_agent.uplink.outbox import MemoryOutbox
from tests.contract.broker import Broker, Probe
from tests.contract.stored_agent import StoredAgent
from tests.contract.stub_broker import CONNACK_5, Handler, StubBroker, answers, read_packet
from tests.contract.uplink_rig import FAST, MS, ROOT, Running

mosquitto = pytest.mark.needs("mosquitto")

PARKS = replace(FAST, limits=replace(FAST.limits, park_ns=200 * MS, park_cap_ns=800 * MS))
ALLOW = "user agent\ntopic readwrite ea1/#\n"


def _login(directory: Path) -> dict[str, Any]:
    password = directory / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    return {"username": "agent", "password_file": str(password)}


def _denying(directory: Path, *topics: str) -> Broker:
    return Broker(
        directory, users={"agent": "secret"}, acl=ALLOW + "".join(f"topic deny {ROOT}/{t}\n" for t in topics)
    )


def _content(packet: bytes) -> tuple[bytes, bytes]:
    """Message id, and everything behind it, of a QoS 1 PUBLISH."""
    body = packet[2:] if packet[1] < 0x80 else packet[3:]
    at = 2 + int.from_bytes(body[:2])
    return body[at : at + 2], body[at + 2 :]


def _refusing(code: int, what: Callable[[bytes], bool]) -> Handler:
    """Every message whose content is `what` is answered with `code`, all others are taken."""

    def handle(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(CONNACK_5)
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 3:
                mid, content = _content(packet)
                no = b"\x40\x04" + mid + bytes([code, 0])
                connection.sendall(no if what(content) else b"\x40\x02" + mid)

    return handle


# --- a topic is refused ---------------------------------------------------------------------------


@mosquitto
def test_a_denied_stream_is_parked_said_and_resumed_without_a_new_connection(tmp_path: Path) -> None:
    with (
        _denying(tmp_path, "data/sample") as broker,
        Probe(broker, "#", user="agent", password="secret") as probe,
        Running(broker.url, tuning=PARKS, **_login(tmp_path)) as running,
    ):
        running.until_state("connected")
        running.append("sample", b"1", b"2", b"3")
        running.append("event", b"allowed")
        running.until(lambda: "event" not in running.outbox.waiting())
        running.until(lambda: bool(running.sender.snapshot()["parked"]))
        (parked,) = running.sender.snapshot()["parked"]
        assert parked["topic"] == f"{ROOT}/data/sample" and parked["reason"] == "not authorised"
        assert "access list" in parked["hint"]
        assert any("not authorised" in problem for problem in running.sender.problems())
        running.append("sample", b"4")
        assert running.outbox.waiting()["sample"] == 4
        broker.reload(acl=ALLOW)
        running.until_sent()
        assert running.count("uplink_connects") == 1
        probe.wait_for(f"{ROOT}/data/sample", b"4")
        assert probe.payloads(f"{ROOT}/data/sample") == [b"1", b"2", b"3", b"4"]
        running.until(lambda: not running.sender.problems())
        assert running.count("uplink_given_up") == 0


@mosquitto
def test_while_a_stream_is_parked_only_probes_are_sent_of_it(tmp_path: Path) -> None:
    with (
        _denying(tmp_path, "data/sample") as broker,
        Running(broker.url, tuning=PARKS, **_login(tmp_path)) as running,
    ):
        running.until_state("connected")
        running.append("sample", *(b"%d" % number for number in range(200)))
        running.append("event", b"allowed")
        running.until(lambda: running.count("uplink_refused") >= 18)
        # One window, but for the places of alarms, went out before the first refusal was heard of.
        assert running.count("uplink_sent") <= running.count("uplink_refused") + 2
        assert running.counters.snapshot()["uplink_parked{not authorised}"] == 1
        assert running.outbox.waiting() == {"sample": 200}


@mosquitto
def test_a_denied_stream_is_parked_over_connections(tmp_path: Path) -> None:
    with (
        _denying(tmp_path, "hist/sample", "data/sample") as broker,
        Running(broker.url, tuning=PARKS, **_login(tmp_path)) as running,
    ):
        running.append("sample", *(b"%d" % number for number in range(100)))
        running.until(lambda: running.count("uplink_refused") >= 1)
        running.until(lambda: bool(running.sender.snapshot()["parked"]))
        broker.restart()
        running.until(lambda: running.count("uplink_connects") == 2)
        before = running.count("uplink_sent")
        running.append("event", b"allowed")
        running.until(lambda: "event" not in running.outbox.waiting())
        assert running.count("uplink_sent") <= before + 3, "a probe and the event"


@mosquitto
def test_under_3_1_1_a_denied_record_is_answered_like_any_other_and_only_a_receiver_can_tell(
    tmp_path: Path,
) -> None:
    """With receivers' acknowledgements nothing is forgotten all the same."""
    options: dict[str, Any] = {**_login(tmp_path), "protocol": "3.1.1", "ack": "receiver"}
    limits = {"confirm_ns": 200 * MS}
    with (
        _denying(tmp_path, "data/sample") as broker,
        Running(broker.url, limits=limits, **options) as running,
    ):
        running.until_state("connected")
        running.append("sample", b"denied")
        running.until(lambda: running.count("uplink_acked") >= 1)
        assert running.outbox.waiting() == {"sample": 1}
        # It is offered again, by the backlog's topic, which is allowed.
        with Probe(broker, "#", user="agent", password="secret") as probe:
            probe.wait_for(f"{ROOT}/hist/sample", b"denied")


@mosquitto
def test_refused_births_status_and_alarm_states_are_counted_and_said(tmp_path: Path) -> None:
    alarm = AlarmTransition(
        name="over", device="press", point="p", active=True, value=1.0, mono_ns=MonoNs(1),
        wall_ns=WallNs(1), severity=Severity.CRITICAL,
    )  # fmt: skip
    with (
        _denying(tmp_path, "alarm/#", "status") as broker,
        Probe(broker, "#", user="agent", password="secret") as probe,
        Running(broker.url, tuning=PARKS, alarms=lambda: [alarm], **_login(tmp_path)) as running,
    ):
        running.until(lambda: len(running.sender.problems()) == 2)
        assert running.count("uplink_state_refused") >= 2
        running.append("event", b"goes on")
        running.until_sent()
        broker.reload(acl=ALLOW)
        probe.wait_for(f"{ROOT}/status")
        probe.wait_for(f"{ROOT}/alarm/over")
        running.until(lambda: not running.sender.problems())


# --- a record is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0x99, 0x95, 0x80])  # PUBACK 0x95 is not in the standard
def test_a_poison_record_is_given_up_and_the_queue_goes_on(code: int) -> None:
    with (
        StubBroker(_refusing(code, lambda content: b"poison" in content)) as broker,
        Running(broker.url) as running,
    ):
        running.until_state("connected")
        running.append("sample", b"1", b"poison", b"2", b"3")
        running.until(lambda: running.count("uplink_refused") == 1)
        running.append("sample", b"4", b"5")
        running.until_sent()
        assert isinstance(running.outbox, MemoryOutbox)
        assert [ref.seq for ref in running.outbox.refused] == [2]
        assert running.count("uplink_given_up") == 1 and running.count("uplink_acked") == 5
        assert running.count("uplink_connects") == 1


def test_a_rate_limit_said_by_a_puback_makes_everything_wait() -> None:
    """0x96 is not among the codes of a PUBACK either."""
    refused: list[bytes] = []

    def first_two(content: bytes) -> bool:
        refused.append(content)
        return len(refused) <= 2

    with StubBroker(_refusing(0x96, first_two)) as broker, Running(broker.url) as running:
        running.until_state("connected")
        running.append("sample", b"1", b"2")
        running.until_sent()
        assert running.count("uplink_paused") == 2 and running.count("uplink_connects") == 1


def test_a_broker_that_refuses_every_payload_gets_none_given_up() -> None:
    with (
        StubBroker(_refusing(0x99, lambda content: b"record" in content)) as broker,
        Running(broker.url, tuning=PARKS) as running,
    ):
        running.until_state("connected")
        running.append("sample", *(b"record %d" % number for number in range(50)))
        # A turn counts before it shows how it stands.
        running.until(
            lambda: running.count("uplink_refused") >= 18 and bool(running.sender.snapshot()["parked"])
        )
        assert running.outbox.waiting() == {"sample": 50} and running.count("uplink_given_up") == 0
        assert [one["reason"] for one in running.sender.snapshot()["parked"]] == ["payload format invalid"]


def test_a_quota_that_does_not_end_parks_its_stream_and_the_others_go_on() -> None:
    with (
        StubBroker(_refusing(0x97, lambda content: b"sample" in content)) as broker,
        Running(broker.url, tuning=PARKS) as running,
    ):
        running.until_state("connected")
        running.append("sample", b"sample")
        running.until(lambda: bool(running.sender.snapshot()["parked"]))
        running.append("event", b"event")
        running.until(lambda: running.outbox.waiting() == {"sample": 1})
        assert running.count("uplink_paused") == 2


@mosquitto
def test_a_record_larger_than_the_broker_takes_is_given_up_and_declared(tmp_path: Path) -> None:
    """With the real spool: what is given up comes out as a GAP record, and the spool is empty then."""
    with (
        Broker(tmp_path, options=["max_packet_size 1500"]) as broker,
        Probe(broker) as probe,
        StoredAgent(tmp_path / "spool") as agent,
    ):
        with Running(broker.url, agent.outbox) as running:
            agent.large_record()
            agent.samples(3)
            running.sender.wake()
            running.until(lambda: running.count("uplink_given_up") == 1)
            # The loss is noted after it is counted, so the spool's thread may have to turn again.

            def declared() -> bool:
                agent.turn()
                running.sender.wake()
                return any(_gaps(probe))

            running.until(declared)
            (gap,) = _gaps(probe)
            # The first record of the stream is the empty one that opens it.
            assert (gap.reason, gap.stream, gap.from_seq, gap.to_seq) == ("refused", "sample", 2, 2)
            running.until(lambda: not agent.unacked())
        assert agent.counters.snapshot()["spool_lost{sample,refused}"] == 1


def _gaps(probe: Probe) -> list[Loss]:
    decoder = decode.Decoder()
    records = [payload for topic, payload, _ in list(probe.messages) if topic.endswith("/event")]
    bodies = [decoder.decode(record).body for record in records]
    return [body.loss for body in bodies if isinstance(body, Gap)]


# --- the broker hangs up --------------------------------------------------------------------------


def _choking(goodbye: bytes) -> Handler:
    """Takes everything, but hangs up over poison, with or without a word."""

    def handle(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(CONNACK_5)
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 != 3:
                continue
            if b"poison" in packet:
                connection.sendall(goodbye)
                return
            connection.sendall(b"\x40\x02" + _content(packet)[0])

    return handle


def _choking_unread(connection: socket.socket, _connect: bytes) -> None:
    """Hangs up before it has read the poison: its system resets the connection, as a rule before it
    acknowledged what came."""
    connection.sendall(CONNACK_5)
    while head := connection.recv(4096, socket.MSG_PEEK):
        if head[0] >> 4 == 3 and b"poison" in head[: 2 + head[1] + 128 * (head[1] >> 7)]:
            return
        packet = read_packet(connection)
        if packet is not None and packet[0] >> 4 == 3:
            connection.sendall(b"\x40\x02" + _content(packet)[0])


_CHOKING = {
    "without a word": _choking(b""),
    "saying too large": _choking(b"\xe0\x02\x95\x00"),
    "saying bad payload": _choking(b"\xe0\x02\x99\x00"),
    "by a reset": _choking_unread,
}


@pytest.mark.parametrize("how", _CHOKING)
def test_a_record_over_which_the_broker_hangs_up_again_and_again_is_given_up(how: str) -> None:
    outbox = MemoryOutbox()
    for record in (b"1", b"poison" * 50, b"2", b"3", b"4"):
        outbox.append("sample", record)
    limits = {"suspect_ns": 10 * MS}
    with StubBroker(_CHOKING[how]) as broker, Running(broker.url, outbox, limits=limits) as running:
        running.until(lambda: bool(outbox.refused), 20)
        running.until_sent()
        assert [ref.seq for ref in outbox.refused] == [2]
        assert running.count("uplink_acked") == 4


def test_a_broker_that_hangs_up_over_everything_gets_none_given_up() -> None:
    """As some do instead of refusing a topic."""
    outbox = MemoryOutbox()
    for _ in range(3):
        outbox.append("sample", b"poison")
    patient = replace(PARKS, backoff=replace(PARKS.backoff, patient_ns=40 * MS))
    limits = {"suspect_ns": 10 * MS, "park_ns": 10 * MS, "park_cap_ns": 20 * MS}
    with (
        StubBroker(_choking(b"")) as broker,
        Running(broker.url, outbox, tuning=patient, limits=limits) as running,
    ):
        running.until(lambda: running.count("uplink_connects") >= 15, 20)
        assert not outbox.refused and len(outbox.waiting()) == 1


# --- topic aliases --------------------------------------------------------------------------------


@mosquitto
def test_topics_arrive_unchanged_under_aliases(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Probe(broker) as probe, Running(broker.url) as running:
        running.until_state("connected")
        for round_ in range(3):
            for stream in ("sample", "summary", "event", "alarm"):
                running.append(stream, *(b"%s %d %d" % (stream.encode(), round_, n) for n in range(5)))
        running.until_sent()
        for stream in ("sample", "summary", "event", "alarm"):
            expected = [b"%s %d %d" % (stream.encode(), r, n) for r in range(3) for n in range(5)]
            topic = f"{ROOT}/data/{stream}"
            probe.wait_until(lambda _, t=topic: len(probe.payloads(t)) == 15)
            assert probe.payloads(topic) == expected


def _connack_with_aliases(most: int) -> bytes:
    return b"\x20\x06\x00\x00\x03\x22" + most.to_bytes(2)


def test_an_alias_saves_the_topic_and_begins_again_with_each_connection() -> None:
    sizes: list[list[int]] = []

    def handle(connection: socket.socket, _connect: bytes) -> None:
        sizes.append([])
        connection.sendall(_connack_with_aliases(10))
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 3:
                sizes[-1].append(len(packet) if b"record" in packet else 0)
                connection.sendall(b"\x40\x02" + _content(packet)[0])
                if packet.endswith(b"record 3"):
                    return

    with StubBroker(handle) as broker, Running(broker.url) as running:
        running.until_state("connected")
        for number in range(8):
            running.append("sample", b"record %d" % number)
            running.until(lambda n=number: running.count("uplink_acked") > n)  # type: ignore[misc]
    first, second = ([size for size in one if size] for one in sizes[:2])
    topic = len(f"{ROOT}/data/sample")
    assert first[0] - first[1] == topic and first[1] == first[2]
    assert second[0] == first[0], "the broker has forgotten the alias with the connection"


def test_a_broker_that_refuses_its_own_aliases_is_served_without() -> None:
    def refuses(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(_connack_with_aliases(10))
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 3 and b"record" in packet:
                connection.sendall(b"\xe0\x02\x94\x00")
                return
            if packet[0] >> 4 == 3:
                connection.sendall(b"\x40\x02" + _content(packet)[0])

    accept = answers(_connack_with_aliases(10), lambda mid: b"\x40\x02" + mid)
    with StubBroker(refuses, accept) as broker, Running(broker.url) as running:
        running.until_state("connected")
        running.append("sample", b"record")
        running.until_sent()
        assert running.counters.snapshot()["uplink_failures{alias}"] == 1


# --- answers that are out of order ----------------------------------------------------------------


def test_answers_in_reverse_and_twice_acknowledge_each_record_once() -> None:
    def reversed_answers(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(CONNACK_5)
        waiting: list[bytes] = []
        connection.settimeout(0.1)
        while True:
            packet = read_packet(connection)
            if packet is not None and packet[0] >> 4 == 3:
                waiting.append(_content(packet)[0])
            elif packet is None:
                for mid in reversed(waiting):
                    connection.sendall((b"\x40\x02" + mid) * 2)
                waiting.clear()
                if connection.fileno() < 0 or _is_over(connection):
                    return

    with StubBroker(reversed_answers) as broker, Running(broker.url) as running:
        running.until_state("connected")
        running.append("sample", *(b"%d" % number for number in range(40)))
        running.until_sent()
        assert running.count("uplink_acked") == 40 and running.count("uplink_connects") == 1


def _is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
