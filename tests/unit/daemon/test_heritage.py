"""Windows from one run to the next, through the pipeline and a spool on fake files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from edge_agent.model import NS, Send, Site
from edge_agent.records.decode import SummaryRow
from tests.unit.daemon.lives import HOUR, Gateway
from tests.unit.process.sites import point, site

POINTS = [point("p", poll_ns=NS), point("q", address=4, poll_ns=NS)]
WINDOW_S = 900
TWO = site(POINTS, window_ns=WINDOW_S * NS)


def rows(gateway: Gateway) -> list[SummaryRow]:
    return [row for body in gateway.received_summaries() for row in body.rows]


def shape(found: Sequence[SummaryRow]) -> list[tuple[str, int, int, float | None, float | None]]:
    return [(row.entry.point, row.count, row.missing, row.first, row.last) for row in found]


def test_an_hour_killed_in_its_59th_minute_arrives_as_one_window():
    gateway = Gateway(site(POINTS, window_ns=HOUR))
    gateway.start()
    gateway.poll_for(58 * 60)
    gateway.kill()
    gateway.pass_time(30)
    gateway.start()
    gateway.poll_for(60 + 50)
    (p, q) = rows(gateway)
    assert p.t0_ns % HOUR == 0 and p.t1_ns - p.t0_ns == HOUR
    # Of the hour only what came after the last checkpoint is missing, and the pause.
    assert shape([p]) == [("p", 3600 - 30 - gateway.lost_polls - 1, 30 + gateway.lost_polls, 1, p.last)]
    assert 0 < gateway.lost_polls <= 61
    assert (q.count, q.missing) == (p.count, p.missing)


@pytest.mark.parametrize("pause_s", [3600, 86400 * 9])
def test_a_window_that_ended_meanwhile_is_sent_at_once_also_days_later(pause_s: int):
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(600)
    gateway.kill()
    gateway.pass_time(pause_s)
    gateway.start()
    gateway.turn()
    (p, _) = rows(gateway)
    assert (p.count, p.first) == (600 - gateway.lost_polls, 1)
    assert p.count + p.missing <= WINDOW_S
    (start,) = gateway.starts()[1:]
    assert start.previous.certain["summary"] == gateway.checkpoints[-2].snapshot.until_ns


def test_a_restart_does_not_cut_the_window_in_two():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(600)
    gateway.stop()
    assert rows(gateway) == []
    gateway.pass_time(20)
    gateway.start()
    gateway.poll_for(WINDOW_S - 620 + 10)
    (p, _) = rows(gateway)
    assert (p.count, p.missing) == (WINDOW_S - 20 - 1, 20)
    assert gateway.starts()[1].previous.clean


def test_a_window_not_longer_than_the_checkpoint_is_closed_at_an_orderly_end_and_nothing_is_stored():
    gateway = Gateway(replace(TWO, checkpoint_ns=WINDOW_S * NS))
    gateway.start()
    gateway.poll_for(100)
    gateway.stop()
    assert [row.count for row in rows(gateway)] == [100, 100]
    assert gateway.checkpoints == []


def test_where_windows_cannot_be_stored_an_orderly_end_closes_them():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(100)
    gateway.fail_checkpoints()
    gateway.poll_for(100)
    gateway.stop()
    assert [row.count for row in rows(gateway)] == [200, 200]


def test_a_window_that_was_recorded_before_the_kill_is_not_sent_again():
    gateway = Gateway(TWO)
    gateway.start()
    # Killed between the record of the window and the next checkpoint.
    gateway.poll_for(WINDOW_S + 1)
    assert len(rows(gateway)) == 2
    gateway.kill()
    gateway.pass_time(5)
    gateway.start()
    gateway.poll_for(WINDOW_S + 100)
    assert sorted(row.count for row in rows(gateway) if row.first == 1) == [WINDOW_S - 1] * 2
    assert len({(row.entry.point, row.t0_ns) for row in rows(gateway)}) == len(rows(gateway)) == 4
    assert gateway.counted("windows_dropped") == 0


def test_a_changed_point_sends_its_old_window_under_the_old_dictionary():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(100)
    gateway.stop()
    gateway.site = site(
        [TWO.points[1], replace(TWO.points[0], scale=2.0, unit="bar")], window_ns=WINDOW_S * NS
    )
    gateway.start()
    gateway.turn()
    (p,) = rows(gateway)
    assert (p.entry.point, p.entry.unit, p.entry.scale, p.count) == ("p", "", 1.0, 100)
    gateway.poll_for(WINDOW_S)
    later = {row.entry.point: row for row in rows(gateway)[1:]}
    assert later["p"].entry.unit == "bar"
    assert later["q"].count > later["p"].count


def test_without_the_old_dictionary_a_changed_point_is_dropped_counted_and_declared():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(100)
    gateway.stop()
    gateway.forget_births()
    gateway.site = site([replace(TWO.points[0], scale=2.0), TWO.points[1]], window_ns=WINDOW_S * NS)
    gateway.start()
    gateway.turn()
    assert rows(gateway) == []
    assert gateway.counted("windows_dropped") == 1
    start = gateway.starts()[1]
    assert start.previous.certain["summary"] == gateway.starts()[0].previous.certain.get(
        "summary", gateway.first_until
    )


def test_damaged_checkpoints_are_dropped_counted_and_declared():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(200)
    gateway.kill()
    gateway.damage_checkpoints()
    gateway.start()
    gateway.turn()
    assert rows(gateway) == []
    assert gateway.counted("windows_dropped") == 1
    assert gateway.starts()[1].previous.certain["summary"] == gateway.first_until


def test_a_second_kill_soon_after_the_start_loses_nothing_more():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(600)
    gateway.kill()
    for _ in range(3):
        gateway.start()
        gateway.kill()
    gateway.start()
    gateway.poll_for(WINDOW_S + 1)
    assert [row.first for row in rows(gateway)[:2]] == [1, 1]


@pytest.mark.parametrize("wall_ns", [5 * NS, 4_000_000_000 * NS])
def test_a_clock_that_went_wrong_ends_the_window_and_sends_what_it_has(wall_ns: int):
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(300)
    gateway.stop()
    right = gateway.clock.wall_ns()
    gateway.clock.step_wall(wall_ns - right)
    gateway.start()
    gateway.turn()
    assert [(row.count, row.first) for row in rows(gateway)] == [(300, 1), (300, 1)]
    gateway.clock.step_wall(right - gateway.clock.wall_ns())
    gateway.poll_for(20)
    gateway.stop()
    gateway.start()
    gateway.poll_for(WINDOW_S)
    # Before the clock was right one poll may have come under the wrong time.
    same = [row for row in rows(gateway) if row.t0_ns == rows(gateway)[0].t0_ns and row.entry.point == "p"]
    assert same[1].first == 301


def test_windows_of_points_that_all_send_samples_now_are_sent_once():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.poll_for(100)
    gateway.stop()
    gateway.site = site([replace(one, send=Send.SAMPLES) for one in TWO.points], window_ns=WINDOW_S * NS)
    for _ in range(3):
        gateway.start()
        gateway.kill()
    assert [row.count for row in rows(gateway)] == [100, 100]


def test_a_site_without_windows_stores_none():
    samples: Site = site([point("p", send=Send.SAMPLES)], window_ns=WINDOW_S * NS)
    gateway = Gateway(samples)
    gateway.start()
    gateway.poll_for(200)
    gateway.stop()
    assert gateway.checkpoints == []


def test_a_stop_that_comes_before_anything_was_read_is_none_the_worse():
    gateway = Gateway(TWO)
    gateway.start()
    gateway.stop()
    gateway.start()
    gateway.poll_for(5)
    gateway.stop()
    assert gateway.starts()[1].previous.clean
