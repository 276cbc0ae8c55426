"""Topics, broker addresses, small documents."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import UplinkError
from edge_agent.model import MonoNs, Severity, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink import payloads
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.address import Address
from edge_agent.uplink.topics import Place, Topics, maybe_place, subscriptions


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "a" * 65, "a\n", "$SYS/x"])
def test_a_name_that_could_change_the_topic_is_refused(name: str) -> None:
    for site, agent in ((name, "ok"), ("ok", name)):
        with pytest.raises(UplinkError, match="hint"):
            Topics(site, agent)


def test_topics_are_read_back_as_written() -> None:
    topics = Topics("plant-a", "press.1")
    assert maybe_place(topics.status) == Place("plant-a", "press.1", "status", "")
    assert maybe_place(topics.birth()) == Place("plant-a", "press.1", "birth", "")
    assert maybe_place(topics.birth(3)) == Place("plant-a", "press.1", "birth", "3")
    assert maybe_place(topics.hist_birth) == Place("plant-a", "press.1", "hist", "birth")
    assert maybe_place(topics.data("sample")) == Place("plant-a", "press.1", "data", "sample")
    for other in (
        topics.ack,
        topics.alarm("x"),
        "",
        "ea2/a/b/up/status",
        "ea1/a/b/up/data",
        "ea1/a/b/up/status/x",
    ):
        assert maybe_place(other) is None


def test_a_receiver_subscribes_to_one_agent_or_to_all() -> None:
    assert subscriptions("s", "a")[0] == "ea1/s/a/up/status"
    assert subscriptions("", "")[2] == "ea1/+/+/up/data/+"


@given(st.text())
def test_any_topic_is_a_place_or_none(topic: str) -> None:
    place = maybe_place(topic)
    assert place is None or place.site


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://127.0.0.1", Address("127.0.0.1", 1883, False)),
        ("mqtt://localhost:1884/", Address("localhost", 1884, False)),
        ("mqtt://[::1]:1883", Address("::1", 1883, False)),
        ("mqtts://broker.example", Address("broker.example", 8883, True)),
        ("mqtts://Broker.Example.:443", Address("broker.example.", 443, True)),
    ],
)
def test_good_urls(url: str, expected: Address) -> None:
    assert address.parse(url) == expected
    assert address.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("broker.example", "must begin with"), ("http://x", "must begin with"), ("mqtt://", "no host name"),
        ("mqtts://x:99999", "broker url"), ("mqtts://x:0", "port 0"), ("mqtts://u:p@x", "logs"),
        ("mqtts://x/path", "end after the port"), ("mqtts://" + "a" * 64, "no host name"),
        ("mqtts://a..b", "no host name"), ("mqtts://-a", "no host name"), ("mqtts://[::1", "broker url"),
        ("mqtt://10.0.0.1", "insecure"), ("mqtt://localhost.example", "insecure"),
    ],
)  # fmt: skip
def test_bad_urls_say_why(url: str, words: str) -> None:
    with pytest.raises(UplinkError, match=words):
        address.parse(url)


@given(st.text(max_size=80))
def test_any_url_is_an_address_or_an_input_error(text: str) -> None:
    for url in (text, f"mqtt://{text}", f"mqtts://{text}"):
        with contextlib.suppress(UplinkError):
            assert address.parse(url).host


def _alarm(active: bool, value: float | None) -> AlarmTransition:
    return AlarmTransition(
        name="a", device="d", point="p", active=active, value=value, mono_ns=MonoNs(1),
        wall_ns=WallNs(1_500_000_000), severity=Severity.INFO,
    )  # fmt: skip


def test_an_active_alarm_is_a_document_and_a_normal_one_is_nothing() -> None:
    assert json.loads(payloads.alarm(_alarm(True, 2.5)))["t"] == 1.5
    assert json.loads(payloads.alarm(_alarm(True, float("nan"))))["value"] is None
    assert payloads.alarm(_alarm(False, 1.0)) == b""


@given(st.binary(max_size=60))
def test_any_bytes_are_a_status_or_none(data: bytes) -> None:
    payloads.maybe_status(data)


def test_a_status_document_that_nests_without_end_is_none() -> None:
    assert payloads.maybe_status(b"[" * 100_000) is None
    assert payloads.maybe_status(b'{"state":1}') is None
