from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.access import Look, Node, User
from edge_agent.doctor.certificates import SOON_DAYS, Certificate, File, Pair, judge_file, judge_pair
from edge_agent.doctor.findings import State
from edge_agent.doctor.unit import Unit

DAY = 86400.0
NOW = 1_800_000_000.0
PATH = "/etc/edge-agent/ca.pem"
SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990}), group="edge-agent")
CERTIFICATE = Certificate(
    subject="broker", issuer="plant-ca", not_before_s=NOW - DAY, not_after_s=NOW + 100 * DAY
)
UNIT = Unit(load_state="loaded", credentials=("/etc/edge-agent/keys",), hides_home=True, hides_tmp=True)


def look(path=PATH, uid=0, gid=990, mode=0o640):
    return Look(path=path, nodes=(Node(path=path, uid=uid, gid=gid, mode=mode),))


def judged(file, unit=UNIT):
    return list(judge_file(file, SERVICE, unit, NOW))


def file(key="ca", at=None, **more):
    return File(owner="uplink", key=key, look=at or look(), **more)


def of(*certificates):
    return judged(file(certificates=certificates))[-1]


@pytest.mark.parametrize(
    ("left_days", "state"),
    [
        (-1, State.FAULT),
        (0, State.WARNING),
        (1, State.WARNING),
        (SOON_DAYS - 0.001, State.WARNING),
        (SOON_DAYS, State.OK),
        (SOON_DAYS + 1, State.OK),
    ],
)
def test_a_certificate_is_renewed_a_month_before_its_end(left_days, state):
    assert of(replace(CERTIFICATE, not_after_s=NOW + left_days * DAY)).state is state


def test_the_last_second_is_still_good_and_the_next_is_not():
    assert of(replace(CERTIFICATE, not_after_s=NOW)).state is State.WARNING
    assert of(replace(CERTIFICATE, not_after_s=NOW - 1)).state is State.FAULT


def test_one_that_is_not_valid_yet_leads_to_the_clock():
    one = of(replace(CERTIFICATE, not_before_s=NOW + 2 * DAY))
    assert one.state is State.FAULT
    assert "in 2 days" in one.seen and "clock" in one.remedy
    assert of(replace(CERTIFICATE, not_before_s=NOW)).state is State.OK


def test_of_a_bundle_one_that_is_good_is_enough():
    over = replace(CERTIFICATE, not_after_s=NOW - 9 * DAY)
    assert of(over, CERTIFICATE).state is State.OK
    assert of(over, CERTIFICATE).seen.endswith("1 other in it not valid")
    assert of(over, over).state is State.FAULT


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_the_service_may_not_read_is_a_fault(mode):
    state = judged(file(at=look(gid=0, mode=mode)))[0].state
    assert state is State.FAULT


def test_keys_that_systemd_hands_over_need_not_be_readable_for_the_service():
    key = file("key", look("/etc/edge-agent/keys/client.key", gid=0, mode=0o600))
    assert judged(key)[0].state is State.OK
    assert judged(key, Unit())[0].state is State.FAULT


@pytest.mark.parametrize(
    ("key", "state"), [("key", State.WARNING), ("password_file", State.WARNING), ("ca", State.OK)]
)
def test_a_secret_that_everybody_may_read_is_a_warning(key, state):
    one = judged(file(key, look(mode=0o644)))[0]
    assert one.state is state


@pytest.mark.parametrize("path", ["/home/me/ca.pem", "/root/ca.pem", "/tmp/ca.pem"])
def test_what_the_sandbox_hides_is_a_fault(path):
    assert judged(file(at=look(path, mode=0o644)))[0].state is State.FAULT
    assert judged(file(at=look(path, mode=0o644)), Unit())[0].state is State.OK


def test_missing_hidden_and_unread_files():
    assert judged(file(at=Look(path=PATH, is_missing=True)))[0].state is State.FAULT
    assert judged(file(at=Look(path=PATH, hidden_by="/etc/edge-agent")))[0].state is State.SKIPPED
    assert judged(file(unread="python3-cryptography is not installed"))[1].state is State.SKIPPED
    assert judged(file(error="is no certificate"))[1].state is State.FAULT


def test_a_pair():
    pair = Pair(owner="uplink", cert="/a", key="/b")
    assert judge_pair(pair).state is State.OK
    assert judge_pair(replace(pair, error="key /b does not belong to cert /a")).state is State.FAULT
    assert judge_pair(replace(pair, unread="you may not read /b")).state is State.SKIPPED
