"""What is asked below dn/: only what is well-formed, not retained and not too often is carried out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import RecordError
from edge_agent.model import NS, MonoNs
from edge_agent.records.pack import pack
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.payloads import MAX_REPLAY, Ack, ReplayRequest
from edge_agent.uplink.requests import Rebirth, Refused, Requests, Why
from edge_agent.uplink.topics import Topics

E = b"\x01" * 8
T0 = MonoNs(1000 * NS)
TOPICS = Topics("site", "agent")
ACK, REPLAY = Ack(E, "sample", 7), ReplayRequest(E, "sample", 5, 10)


def _judge(
    topic: str, payload: bytes, requests: Requests | None = None, now: MonoNs = T0, *,
    retain: bool = False, full: bool = False,
) -> object:  # fmt: skip
    requests = requests or Requests(TOPICS, acks=True)
    return requests.judge(now, Message(topic=topic, payload=payload, retain=retain), full=full)


def _why(found: object) -> Why:
    assert isinstance(found, Refused)
    return found.why


def test_what_is_well_formed_is_taken() -> None:
    assert _judge(TOPICS.ack, ACK.encode()) == ACK
    assert _judge(TOPICS.replay, REPLAY.encode()) == REPLAY
    assert _judge(TOPICS.rebirth, b"") == Rebirth()
    assert _judge(f"{TOPICS.root}/dn/else", b"") is None


@pytest.mark.parametrize("topic", [TOPICS.ack, TOPICS.replay, TOPICS.rebirth])
def test_retained_and_large_requests_are_refused(topic: str) -> None:
    assert _why(_judge(topic, b"", retain=True)) is Why.RETAINED
    assert _why(_judge(topic, b"\xc0" * 257)) is Why.TOO_LARGE


@pytest.mark.parametrize(
    "fields",
    [
        {}, [], 1, None, {"epoch": E}, {"epoch": E, "stream": "sample"},
        {"epoch": E[:7], "stream": "sample", "upto": 1}, {"epoch": E.hex(), "stream": "sample", "upto": 1},
        {"epoch": E, "stream": "", "upto": 1}, {"epoch": E, "stream": "s" * 17, "upto": 1},
        {"epoch": E, "stream": b"sample", "upto": 1}, {"epoch": E, "stream": "sample", "upto": 0},
        {"epoch": E, "stream": "sample", "upto": -1}, {"epoch": E, "stream": "sample", "upto": 1.0},
        {"epoch": E, "stream": "sample", "upto": True}, {"epoch": E, "stream": "sample", "upto": 2**63},
    ],
)  # fmt: skip
def test_malformed_acknowledgements_are_refused(fields: object) -> None:
    assert _why(_judge(TOPICS.ack, pack(fields))) is Why.MALFORMED


@pytest.mark.parametrize(
    ("first", "last", "good"),
    [(1, 1, True), (5, 4, False), (0, 4, False), (1, MAX_REPLAY, True), (1, MAX_REPLAY + 1, False)],
)
def test_a_replay_names_one_to_a_million_records(first: int, last: int, good: bool) -> None:
    found = _judge(TOPICS.replay, ReplayRequest(E, "sample", first, last).encode())
    assert (found == ReplayRequest(E, "sample", first, last)) is good


def test_keys_that_a_later_version_adds_are_ignored() -> None:
    payload = pack({"epoch": E, "stream": "sample", "upto": 7, "more": [1, 2]})
    assert _judge(TOPICS.ack, payload) == ACK


@given(st.binary(max_size=300), st.sampled_from([TOPICS.ack, TOPICS.replay, TOPICS.rebirth]))
def test_no_payload_whatever_does_more_than_be_judged(payload: bytes, topic: str) -> None:
    assert _judge(topic, payload) is not None


def test_without_receivers_acknowledgements_none_is_taken() -> None:
    assert _why(_judge(TOPICS.ack, ACK.encode(), Requests(TOPICS, acks=False))) is Why.OFF


def test_requests_are_rate_limited_and_a_full_queue_takes_none() -> None:
    requests = Requests(TOPICS, acks=True)
    taken = [_judge(TOPICS.replay, REPLAY.encode(), requests) for _ in range(20)]
    assert taken[:12] == [REPLAY] * 12 and _why(taken[12]) is Why.TOO_OFTEN
    assert _why(_judge(TOPICS.replay, REPLAY.encode(), full=True)) is Why.FULL
    assert _judge(TOPICS.rebirth, b"", requests) == Rebirth()
    assert _why(_judge(TOPICS.rebirth, b"", requests, MonoNs(T0 + 10 * NS - 1))) is Why.TOO_OFTEN
    assert _judge(TOPICS.rebirth, b"", requests, MonoNs(T0 + 10 * NS)) == Rebirth()


def test_nonsense_cannot_fill_the_audit() -> None:
    requests = Requests(TOPICS, acks=True)
    refused = [_judge(TOPICS.replay, b"nonsense", requests) for _ in range(100)]
    assert sum(isinstance(one, Refused) and one.audited for one in refused) == 6
    assert not any(getattr(_judge(TOPICS.ack, b"x", requests), "audited", True) for _ in range(10))


def test_both_payloads_come_back_as_they_were() -> None:
    assert Ack.decode(ACK.encode()) == ACK
    assert Ack.decode(Ack(E, "sample", 9, first=5).encode()) == Ack(E, "sample", 9, first=5)
    assert ReplayRequest.decode(REPLAY.encode()) == REPLAY
    with pytest.raises(RecordError):
        ReplayRequest.decode(ACK.encode())
