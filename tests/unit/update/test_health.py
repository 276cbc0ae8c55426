"""What counts as worse than before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.update import health
from edge_agent.update.health import Look, Watch
from tests.unit.update.orders import RAN

WELL = replace(RAN, version="1.1.0", made=5, acked=3)


def missing(*looks: Look, before: Look = RAN) -> tuple[str, ...]:
    watch = Watch(before, "1.1.0")
    for look in looks:
        watch.note(look)
    return watch.broken() + watch.missing()


def test_a_version_that_does_what_the_old_one_did_lacks_nothing() -> None:
    assert missing(WELL) == ()
    assert missing(Look(), replace(WELL, devices=(), connected=False), WELL) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"active": False}, "not active"),
        ({"version": ""}, "does not answer"),
        ({"version": "1.0.0"}, "version 1.0.0 runs, not 1.1.0"),
        ({"kernels": "python"}, "kernels run as python"),
        ({"problems": ("spool: the disk cannot be used",)}, "spool: the disk"),
        ({"devices": ("press",)}, "device meter"),
        ({"connected": False}, "uplink"),
        ({"made": 0}, "no record has been made"),
        ({"acked": 0}, "taken no record"),
    ],
)
def test_each_thing_that_is_worse_is_named(changed: dict[str, Any], said: str) -> None:
    assert any(said in reason for reason in missing(replace(WELL, **changed)))


def test_what_was_not_there_before_is_not_asked_for() -> None:
    poor = Look(active=True, version="1.0.0", kernels="python", problems=("uplink: refused",))
    assert missing(replace(poor, version="1.1.0", problems=("uplink: refused again",)), before=poor) == ()


def test_a_trouble_that_only_changed_its_figures_is_not_new() -> None:
    before = replace(RAN, problems=("bus line1 needs 1.2 times what it has: slow it down",))
    now = replace(WELL, problems=("bus line1 needs 1.3 times what it has: slow it down",))
    assert missing(now, before=before) == ()
    assert missing(replace(now, problems=(*now.problems, "kernels run as plain Python: x")), before=before)


def test_who_goes_away_while_we_watch_does_not_condemn_a_version_that_reached_them() -> None:
    assert missing(WELL, replace(WELL, devices=(), connected=False)) == ()


def test_devices_may_have_answered_at_different_times() -> None:
    assert missing(replace(WELL, devices=("meter",)), replace(WELL, devices=("press",))) == ()


def test_what_the_old_version_still_reached_is_not_to_the_new_ones_credit() -> None:
    silent = replace(WELL, devices=(), connected=False, made=0, acked=0)
    assert len(missing(RAN, silent)) == 5


def test_a_restart_by_systemd_is_not_mended_by_waiting() -> None:
    assert "once" in missing(WELL, replace(WELL, restarts=1), WELL)[0]
    assert "2 times" in missing(WELL, replace(WELL, restarts=1), replace(WELL, restarts=2))[0]


def test_restarts_of_before_and_those_by_hand_do_not_count() -> None:
    assert missing(replace(WELL, restarts=7), replace(WELL, restarts=7)) == ()
    assert missing(replace(WELL, restarts=7), replace(WELL, restarts=0)) == ()


@pytest.mark.parametrize(
    "snapshot",
    [
        {},
        {"agent": None, "buses": None, "uplink": [], "counters": 3},
        {"agent": {"version": 7, "problems": "x"}, "buses": [None, {"devices": [1, {"state": "up"}]}]},
        {"counters": {"records_made{a}": "many"}, "buses": {"a": 1}},
    ],
)
def test_a_snapshot_of_any_shape_is_taken(snapshot: dict[str, object]) -> None:
    Look(**health.of_snapshot(snapshot))


def test_a_snapshot_is_read_by_its_names() -> None:
    said = health.of_snapshot(
        {
            "agent": {"version": "1.1.0", "kernels": "native", "problems": ["a: b"]},
            "buses": [
                {"devices": [{"name": "x", "state": "up"}, {"name": "y", "state": "down"}]},
                {"devices": [{"name": "z", "state": "up"}]},
            ],
            "uplink": {"state": "connected"},
            "counters": {
                "records_made{alarm}": 2,
                "records_made{event}": 3,
                "uplink_acked{event}": 1,
                "x": 9,
            },
        }
    )
    assert Look(**said) == Look(
        version="1.1.0",
        kernels="native",
        problems=("a: b",),
        devices=("x", "z"),
        connected=True,
        made=5,
        acked=1,
    )


def test_words_of_the_agent_control_no_terminal_and_fill_no_disk() -> None:
    problems = ["\x1b]0;x\x07" + "y" * 10_000, "\ud800", *["z"] * 10_000]
    said = health.of_snapshot({"agent": {"version": "\x1b[2J1", "problems": problems}})
    words = [said["version"], *said["problems"]]
    assert all(word.isprintable() and len(word) < 1000 for word in words) and len(words) <= 101
