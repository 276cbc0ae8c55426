from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.broker import Attempt, judge
from edge_agent.doctor.certificates import Certificate
from edge_agent.doctor.findings import State
from edge_agent.uplink.reasons import Cause, Failure

NOW = 1_800_000_000.0
PEER = Certificate(
    subject="broker", issuer="other-ca", not_before_s=0, not_after_s=NOW + 1e7, names=("broker",)
)
GOOD = Attempt(
    url="mqtts://broker:8883", host="broker", is_tls=True, protocol="5", addresses=("10.0.0.2",), peer=PEER
)


def found(attempt):
    return {one.subject: one for one in judge(attempt, NOW)}


def failed(cause, **more):
    return found(replace(GOOD, failure=Failure(cause, "what the broker said", "what to do"), **more))


def test_a_broker_that_accepts_is_ok_by_name_certificate_and_connect():
    assert {one.state for one in found(GOOD).values()} == {State.OK}
    assert set(found(GOOD)) == {"name broker", "certificate", GOOD.url}


@pytest.mark.parametrize("cause", [one for one in Cause if one not in (Cause.DNS,)])
def test_every_way_to_fail_is_a_fault_with_the_words_of_the_connection(cause):
    one = failed(cause)[GOOD.url]
    assert (one.state, one.seen) == (State.FAULT, "what the broker said")
    assert one.remedy.startswith("what to do")


def test_an_unknown_name_is_looked_up_by_hand():
    assert "getent hosts broker" in failed(Cause.DNS, addresses=())[GOOD.url].remedy


def test_a_distrusted_certificate_is_shown():
    listed = list(judge(replace(GOOD, failure=Failure(Cause.TLS_UNTRUSTED, "not trusted", "check ca")), NOW))
    assert any("by other-ca, made out to broker" in one.seen for one in listed)


def test_an_expired_certificate_is_dated():
    over = replace(PEER, not_after_s=NOW - 3 * 86400)
    listed = list(judge(replace(GOOD, failure=Failure(Cause.TLS_EXPIRED, "has expired"), peer=over), NOW))
    assert any(one.state is State.FAULT and "3 days ago" in one.seen for one in listed)


@pytest.mark.parametrize("cause", [Cause.CLIENT_ID, Cause.NOT_AUTHORISED, Cause.BANNED])
def test_a_refusal_that_may_be_of_the_doctors_own_id_is_no_fault_while_the_agent_is_connected(cause):
    assert failed(cause, agent_is_connected=True)[GOOD.url].state is State.OK
    assert "own client id" in failed(cause)[GOOD.url].remedy


def test_a_wrong_password_is_a_fault_even_while_the_agent_is_connected():
    assert failed(Cause.CREDENTIALS, agent_is_connected=True)[GOOD.url].state is State.FAULT


def test_what_was_not_tried_is_skipped():
    assert [one.state for one in judge(replace(GOOD, is_offline=True), NOW)] == [State.SKIPPED]
    assert [one.state for one in judge(replace(GOOD, unreadable=("/p",)), NOW)] == [State.SKIPPED]


def test_plain_mqtt_to_another_machine_is_a_note():
    assert found(replace(GOOD, is_plain_and_away=True))["secrecy"].state is State.NOTE
