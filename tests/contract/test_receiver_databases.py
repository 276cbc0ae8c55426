"""One suite for both databases: each record once, continuity by the same rules as without a database."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from edge_agent.model import NS, MonoNs, PointDef, Quality, WallNs
from edge_agent.process.results import Sample
from edge_agent.receiver.continuity import Continuity
from edge_agent.receiver.database.door import Away, StoreError
from edge_agent.receiver.database.isolate import write_all
from edge_agent.records import codec
from edge_agent.records.codec import KnownBody
from edge_agent.records.envelope import Envelope, encode
from edge_agent.records.events import Gap, Start, Stop
from edge_agent.records.pack import pack
from edge_agent.records.values import EVENT, SAMPLE, Kind, Loss, Recovery, Stamp
from edge_agent.uplink import payloads
from tests.contract.agent_records import WALL, FakeAgent, alarm, sample, small_site, stamp, summary
from tests.contract.databases import PRESS, Rig, new_database

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))
GONE = {(SAMPLE, 3), (SAMPLE, 5)}
KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


@pytest.fixture(params=KINDS)
def rig(request, tmp_path: Path) -> Iterator[Rig]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    rig = Rig(new_database(request.param, tmp_path, server))
    yield rig
    rig.store.close()


def _record(
    kind: int, seq: int, body: object, *, stream: str = EVENT, epoch: bytes = A, dict_hash: bytes = b"",
    wall_ns: int = WALL,
) -> tuple[str, bytes]:  # fmt: skip
    t0 = Stamp(WallNs(wall_ns), MonoNs(0), True)
    head = Envelope(kind=kind, epoch=epoch, stream=stream, seq=seq, dict_hash=dict_hash, t0=t0)
    return stream, encode(head, pack(body))


def _known(seq: int, body: KnownBody, kind: Kind, *, epoch: bytes = A) -> tuple[str, bytes]:
    head = Envelope(kind=kind, epoch=epoch, stream=EVENT, seq=seq, dict_hash=b"", t0=stamp())
    return EVENT, codec.encode(head, body)


def _full_agent() -> FakeAgent:
    agent = FakeAgent(small_site("pressure", "speed"), A)
    for number in range(20):
        agent.add(sample(number, number), sample(2 * number, number, point=1))
    agent.add(summary(5.0), alarm(True))
    agent.stop()
    return agent


# --- each record once -----------------------------------------------------------------------------


def test_everything_an_agent_says_is_in_its_table(rig: Rig) -> None:
    agent = _full_agent()
    written = rig.write(agent.records)
    assert (written.records, written.values, written.alarms) == (len(agent.records), 41, 1)
    statement = "SELECT site, agent, device, point, value, quality, epoch, unit FROM sample WHERE seq = 3"
    assert sorted(rig.rows(statement)) == [
        ("plant-a", "press", "press", "pressure", pytest.approx(0.1), 0, A.hex(), "bar"),
        ("plant-a", "press", "press", "speed", pytest.approx(0.2), 0, A.hex(), "bar"),
    ]
    assert rig.rows("SELECT point, count, bad, missing, min, max, mean, std, quality FROM summary") == [
        ("pressure", 10, 1, 2, 4.0, 6.0, 5.0, 0.5, 64)
    ]
    assert rig.rows("SELECT name, device, point, state, value, severity FROM alarm") == [
        ("overpressure", "press", "pressure", "active", pytest.approx(8.4), "critical")
    ]
    assert [bool(clean) for (clean,) in rig.rows("SELECT clean FROM start")] == [False]
    assert rig.rows("SELECT reason FROM stop") == [("stopped",)]
    assert sorted(rig.rows("SELECT stream, seq, kind FROM record")) == sorted(
        (record.stream, record.seq, record.kind) for record in agent.records
    )


def test_a_record_that_comes_again_is_stored_once(rig: Rig) -> None:
    agent = _full_agent()
    rig.write(agent.records)
    again = rig.write([*agent.records, *agent.records], backlog=True)
    assert (again.records, again.duplicates) == (0, 2 * len(agent.records))
    assert rig.one("SELECT COUNT(*) FROM sample") == 40
    assert rig.one("SELECT COUNT(*) FROM alarm") == 1
    # It is acknowledged again: its acknowledgement may have been what was lost.
    assert again.reach[*_key(SAMPLE),] == (1, max(r.seq for r in agent.records if r.stream == SAMPLE))


def _key(stream: str, epoch: bytes = A) -> tuple[str, str, str, str]:
    return PRESS.site, PRESS.agent, epoch.hex(), stream


def test_a_record_that_comes_twice_in_one_batch_is_stored_once(rig: Rig) -> None:
    agent = _full_agent()
    written = rig.write([*agent.records, *agent.records])
    assert (written.records, written.duplicates) == (len(agent.records), len(agent.records))


def test_what_was_dropped_as_too_old_does_not_come_back(rig: Rig) -> None:
    agent = _full_agent()
    rig.write(agent.records)
    for table in ("record_data", "sample_data"):
        rig.database.execute(f"DELETE FROM {table}")
    assert rig.write(agent.records).records == 0
    assert rig.one("SELECT COUNT(*) FROM sample") == 0


def test_agents_with_the_same_names_of_points_are_kept_apart(rig: Rig) -> None:
    from edge_agent.receiver.continuity import Source

    agent = _full_agent()
    rig.write(agent.records)
    rig.write(agent.records, Source("plant-a", "other"))
    assert rig.rows("SELECT agent, COUNT(*) FROM sample GROUP BY agent ORDER BY agent") == [
        ("other", 40), ("press", 40),
    ]  # fmt: skip


# --- continuity -----------------------------------------------------------------------------------


def _script(rng: random.Random) -> list[tuple[str, bytes, bool]]:
    """(stream, payload, live) of three epochs: out of order, doubled, with holes, gaps, starts and stops."""
    script: list[tuple[str, bytes, bool]] = []
    before = b""
    for epoch in (A, B, C):
        last = {"sample": rng.randint(0, 12), "summary": rng.randint(0, 4)}
        run = [
            _record(77, seq, None, stream=name, epoch=epoch)
            for name in last
            for seq in range(1, last[name] + 1)
        ]
        recovery = Recovery(epoch=before, last={name: rng.randint(0, 12) for name in last} if before else {})
        start = Start(
            site="plant-a", agent="press", software="1", config="", boot=bytes(16), previous=recovery
        )
        run.append(_known(1, start, Kind.START, epoch=epoch))
        if before and rng.random() < 0.7:
            first = rng.randint(1, 12)
            loss = Loss(before, "sample", first, first + rng.randint(0, 5), 1, "evicted", None, None)
            run.append(_known(2, Gap(loss=loss), Kind.GAP, epoch=epoch))
        if rng.random() < 0.5:
            run.append(_known(3, Stop(reason="x", last=last), Kind.STOP, epoch=epoch))
        rng.shuffle(run)
        kept = [one for one in run if rng.random() < 0.8]
        live = rng.random() < 0.6
        script += [
            (*one, live if rng.random() < 0.9 else not live)
            for one in kept + rng.sample(kept, len(kept) // 4)
        ]
        before = epoch
    return script


@pytest.mark.parametrize("number", range(8))
def test_continuity_is_that_of_a_receiver_without_a_database(rig: Rig, seed: int, number: int) -> None:
    """Message by message, as the reference decides; in the database in batches of any size."""
    rng = random.Random(seed + number)
    script = _script(rng)
    reference = Continuity()
    for stream, payload, live in script:
        head, body = codec.decode(payload)
        fresh = reference.see(PRESS, head.epoch, stream, head.seq, live=live)
        match body:
            case Start() if fresh:
                reference.started(PRESS, head.epoch, body.previous.epoch, body.previous.last)
            case Stop() if fresh:
                reference.stopped(PRESS, head.epoch, body.last | {EVENT: head.seq})
            case Gap(loss=loss) if fresh:
                reference.declare(PRESS, loss.epoch, loss.stream, loss.from_seq, loss.to_seq)
        if rng.random() < 0.5:
            rig.store.write(rig.batch([]))
        write_all(rig.store, rig.batch([(stream, payload)], backlog=not live))
    assert sorted(rig.store.holes.missing(1000), key=repr) == sorted(reference.missing(), key=repr)
    upto = {(epoch.hex(), name): seq for _, epoch, name, seq in reference.contiguous()}
    assert {
        (epoch, name): seq
        for epoch, name, seq in rig.rows("SELECT epoch, stream, upto FROM stream WHERE upto > 0")
    } == upto


def test_holes_cost_an_interval_each_and_no_more(rig: Rig) -> None:
    start = Start(site="plant-a", agent="press", software="1", config="", boot=bytes(16), previous=Recovery())
    write_all(rig.store, rig.batch([_known(1, start, Kind.START)]))
    for first in range(1, 2001, 500):
        batch = [_record(77, seq, None, stream=SAMPLE) for seq in range(first, first + 500) if seq % 100]
        write_all(rig.store, rig.batch(batch))
    assert rig.one("SELECT COUNT(*) FROM span WHERE seen") == 1 + 20
    assert rig.store.holes.count() == 19
    write_all(rig.store, rig.batch([_record(77, seq, None, stream=SAMPLE) for seq in range(100, 2000, 100)]))
    assert rig.one("SELECT COUNT(*) FROM span WHERE seen") == 2
    assert rig.rows("SELECT received, missing, upto FROM completeness WHERE stream = 'sample'") == [
        (1999, 0, 1999)
    ]


def test_a_settled_stream_is_not_looked_at_for_holes(rig: Rig) -> None:
    rig.write(_full_agent().records)
    assert rig.one("SELECT COUNT(*) FROM stream WHERE NOT settled") == 0


def test_nothing_is_acknowledged_while_a_start_may_still_be_on_its_way(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    for number in range(5):
        agent.add(sample(number))
    late = [record for record in agent.records if record.stream == SAMPLE and record.seq > 3]
    assert rig.write(late[:1]).reach == {_key(SAMPLE): (4, 0)}
    rig.clock.advance(601 * NS)
    # Of what was before it joined it says nothing: perhaps a broker has lost that.
    assert rig.write(late).reach == {_key(SAMPLE): (4, 6)}
    # What is missing before is known with the START.
    assert rig.write(agent.records[:1], backlog=True).reach[_key(EVENT)] == (1, 1)
    assert rig.write(late).reach == {_key(SAMPLE): (1, 0)}
    assert rig.write(agent.records, backlog=True).reach[_key(SAMPLE)] == (1, 6)


# --- dictionaries ---------------------------------------------------------------------------------


def test_a_record_waits_as_bytes_until_any_receiver_has_its_dictionary(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    agent.add(sample(7))
    birth, data = agent.records[1], agent.records[-1]
    written = rig.write([data])
    assert (written.records, written.waiting, written.values) == (1, 1, 0)
    assert rig.store.resolve(rig.reader) == 0
    other = Rig(rig.database)
    other.write([birth])
    assert rig.store.resolve(rig.reader) == 1
    assert rig.rows("SELECT value, seq FROM sample") == [(pytest.approx(0.7), data.seq)]
    assert rig.one("SELECT COUNT(*) FROM unread") == 0
    assert rig.store.resolve(rig.reader) == 0


def test_a_dictionary_is_known_to_a_receiver_that_never_saw_its_birth(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    rig.write(agent.records)
    agent.add(sample(7))
    assert Rig(rig.database).write([agent.records[-1]]).values == 1


def test_the_parts_of_a_dictionary_may_come_to_different_receivers(rig: Rig) -> None:
    site = small_site(*(f"point_with_a_rather_long_name_{number}" for number in range(600)))
    agent = FakeAgent(site, A)
    births = [record for record in agent.records if record.kind == Kind.BIRTH]
    agent.add(sample(7, point=599))
    assert len(births) > 1
    rig.write([agent.records[-1]])
    for birth in births:
        Rig(rig.database).write([birth])
    assert rig.store.resolve(rig.reader) == 1
    assert rig.rows("SELECT point FROM sample") == [("point_with_a_rather_long_name_599",)]
    assert rig.one("SELECT COUNT(*) FROM part") == 0


def test_parts_of_no_dictionary_are_thrown_away(rig: Rig) -> None:
    for part in range(2):
        Rig(rig.database).write([], PRESS)
        body = {"data": b"nonsense", "part": part, "parts": 2}
        other = Rig(rig.database)
        write_all(other.store, other.batch([_record(Kind.BIRTH, part + 1, body, dict_hash=b"12345678")]))
    rig.store.resolve(rig.reader)
    assert rig.one("SELECT COUNT(*) FROM part") == 0
    assert rig.one("SELECT COUNT(*) FROM dictionary") == 0


def test_a_record_that_its_dictionary_does_not_fit_is_kept_with_the_reason(rig: Rig) -> None:
    wide, narrow = FakeAgent(small_site("a", "b"), A), FakeAgent(small_site("a"), B)
    wide.add(sample(7, point=1))
    head, body = codec.decode(wide.records[-1].data)
    forged = (SAMPLE, codec.encode(_with_dict(head, narrow.records[1].dict_hash), body))  # type: ignore[arg-type]
    write_all(rig.store, rig.batch([forged]))
    rig.write(narrow.records)
    rig.store.resolve(rig.reader)
    assert [reason.split()[0] for (reason,) in rig.rows("SELECT reason FROM unread")] == ["alias"]
    assert rig.store.resolve(rig.reader) == 0


def _with_dict(head: Envelope, dict_hash: bytes) -> Envelope:
    return Envelope(
        kind=head.kind, epoch=head.epoch, stream=head.stream, seq=head.seq, dict_hash=dict_hash, t0=head.t0
    )


# --- values that a database could lose or refuse ---------------------------------------------------


def _values(rig: Rig, type_: str, values: list[object]) -> list[tuple[object, object]]:
    """What stands in `value` and `text` for samples of a point without a scale."""
    from dataclasses import replace

    site = small_site("p")
    point: PointDef = replace(site.points[0], scale=1.0, type=type_)  # type: ignore[arg-type]
    device = replace(site.buses[0].devices[0], points=(point,))
    site = replace(site, buses=(replace(site.buses[0], devices=(device,)),))
    agent = FakeAgent(site, A)
    rig.write(agent.records)
    hash_ = agent.records[1].dict_hash
    body = [0, [0] * len(values), [0] * len(values), values, []]
    write_all(rig.store, rig.batch([_record(Kind.SAMPLES, 50, body, stream=SAMPLE, dict_hash=hash_)]))
    return [
        (value, text)
        for value, text in rig.rows("SELECT value, text FROM sample WHERE seq = 50 ORDER BY row")
    ]


def test_what_a_double_cannot_hold_is_in_the_text(rig: Rig) -> None:
    given = [
        True,
        2**53,
        2**53 + 1,
        2**64 - 1,
        -(2**63),
        0.1,
        math.nan,
        math.inf,
        -math.inf,
        "on\0off",
        "ü€",
        None,
    ]
    assert _values(rig, "u64", given) == [
        (1.0, None), (2.0**53, None), (2.0**53, str(2**53 + 1)), (2.0**64, str(2**64 - 1)),
        (-(2.0**63), str(-(2**63))), (0.1, None), (None, "NaN"), (None, "Infinity"), (None, "-Infinity"),
        (None, "on\u2400off"), (None, "ü€"), (None, None),
    ]  # fmt: skip


HOSTILE = [
    b"", b"\xff" * 100, b"\x98", b"{}", b"\xdd\xff\xff\xff\xff", b"\x91" * 20000, msgpack.packb([2] * 8),
    _record(Kind.SAMPLES, 2**63 - 1, [0, [], [], [], []], stream=SAMPLE)[1],
    _record(Kind.STOP, 1, {"reason": "x", "last": {}})[1],
]  # fmt: skip


def test_what_is_no_record_is_kept_a_little_and_counted(rig: Rig) -> None:
    written = write_all(rig.store, rig.batch([(SAMPLE, payload) for payload in HOSTILE]))
    assert (written.records, written.unread) == (0, len(HOSTILE))
    assert rig.one("SELECT MAX(LENGTH(payload)) FROM unread") == 1024


def test_a_record_with_a_wrong_body_counts_as_received_and_is_kept_whole(rig: Rig) -> None:
    bad = [
        _record(Kind.SAMPLES, 1, "no columns", stream=SAMPLE),
        _record(Kind.ALARM, 1, ["a", "b", "c", 1, 0.5, "x", False], stream="alarm"),
        _record(Kind.SAMPLES, 2, [2**62, [2**63 - 1] * 9, [0] * 9, [1] * 9, []], stream=SAMPLE),
        _record(4711, 3, {"from": "the future\0"}, stream=SAMPLE),
        _record(4711, 1, [], stream="audit2"),
    ]
    written = write_all(rig.store, rig.batch(bad))
    assert (written.records, written.unread + written.waiting) == (5, 5)
    assert [bytes(payload) for (payload,) in rig.rows("SELECT payload FROM unread ORDER BY id")] == [
        p for _, p in bad
    ]
    assert rig.rows("SELECT reason FROM unread WHERE kind = 4711 AND seq = 3") == [
        ("kind 4711 is not known",)
    ]


def test_times_beyond_every_clock_are_kept_with_their_record(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    rig.write(agent.records)
    dict_hash = agent.records[1].dict_hash
    for seq, (wall, step) in enumerate([(-(2**63) + 1, 0), (2**63 - 1, 0), (0, 0), (2**63 - 1, 2**62)], 10):
        body = [0, [step], [0], [1], []]
        one = _record(Kind.SAMPLES, seq, body, stream=SAMPLE, dict_hash=dict_hash, wall_ns=wall)
        write_all(rig.store, rig.batch([one]))
    assert rig.rows("SELECT seq FROM sample ORDER BY seq") == [(10,), (11,), (12,)]
    assert [reason.split()[-1] for (reason,) in rig.rows("SELECT reason FROM unread")] == ["clock"]


def test_names_that_are_too_long_or_hold_a_nul_make_no_series(rig: Rig) -> None:
    for number, name in enumerate(["x" * 129, "a\0b", "ß" * 128]):
        agent = FakeAgent(small_site(name), bytes([7, number]) * 4)
        agent.add(sample(1))
        rig.write(agent.records)
    assert rig.rows("SELECT point FROM sample") == [("ß" * 128,)]
    assert rig.one("SELECT COUNT(*) FROM unread") == 2


def test_declared_losses_beyond_reason_do_not_break_the_account(rig: Rig) -> None:
    worst = [
        Loss(A, SAMPLE, 1, 2**63 - 1, 1, "evicted\0", None, WallNs(2**63 - 1)),
        Loss(B, "no stream\0", 1, 5, 1, "x", None, None),
    ]
    written = write_all(
        rig.store, rig.batch([_known(n, Gap(loss=loss), Kind.GAP) for n, loss in enumerate(worst, 1)])
    )
    assert written.gaps == 2
    assert rig.store.holes.missing(10) == []
    assert rig.rows("SELECT to_seq, reason FROM gap ORDER BY seq") == [(2**63 - 1, "evicted\u2400"), (5, "x")]


def test_streams_that_a_stranger_invents_are_bounded(rig: Rig) -> None:
    last = {f"s{number}": number for number in range(1000)} | {"Not a name": 5, "alarm": -5}
    stop = Stop(reason="x\0", last=last)
    write_all(rig.store, rig.batch([_known(1, stop, Kind.STOP)]))
    assert rig.one("SELECT COUNT(*) FROM stream") <= 17


def test_an_interruption_is_a_gap_without_a_count(rig: Rig) -> None:
    previous = Recovery(epoch=A, last={"sample": 41}, certain={"sample": WallNs(WALL + 5 * NS)})
    rig.write(FakeAgent(small_site(), B, previous).records)
    rows = rig.rows("SELECT stream, gap_epoch, from_seq, to_seq, count, reason, epoch FROM gap")
    assert rows == [("sample", A.hex(), 42, None, None, "interrupted", B.hex())]


def test_what_was_done_by_order_of_somebody_is_in_its_table(rig: Rig) -> None:
    body = {"who": "local uid 0", "what": "spool purge", "result": "done", "detail": "a\0b"}
    write_all(rig.store, rig.batch([_record(11, 1, body, stream="audit")]))
    assert rig.rows("SELECT who, what, result, detail FROM audit") == [
        ("local uid 0", "spool purge", "done", "a\u2400b")
    ]


def test_a_full_database_is_tried_again_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own limit stands for a full disk."""
    rig = Rig(new_database("sqlite", tmp_path, None))
    agent = _full_agent()
    pages = rig.one("PRAGMA page_count")
    rig.rows(f"PRAGMA max_page_count = {pages}")
    big = _record(4711, 1, "x" * 15000, stream="other")
    with pytest.raises(Away, match="the disk is full"):
        write_all(rig.store, rig.batch([big, *((r.stream, r.data) for r in agent.records)]))
    assert rig.one("SELECT COUNT(*) FROM record") == 0
    rig.rows("PRAGMA max_page_count = 100000")
    assert rig.write(agent.records).records == len(agent.records)
    rig.store.close()


def test_a_database_that_another_program_holds_is_tried_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("edge_agent.receiver.database.sqlite._WAIT_S", 0.05)
    rig = Rig(new_database("sqlite", tmp_path, None, "x"))
    other = new_database("sqlite", tmp_path, None, "x")
    other.open()
    other.begin()
    with pytest.raises(Away, match="another program holds it locked"):
        rig.write(_full_agent().records)
    other.rollback()
    assert rig.write(_full_agent().records).records > 0
    rig.store.close()
    other.close()


# --- status, holes to fill, versions ----------------------------------------------------------------


def _status(rig: Rig, state: str, t: float, epoch: str = "ab") -> str:
    rig.store.status(PRESS, {"state": state, "t": t, "epoch": epoch, "version": 7})
    return str(rig.one("SELECT state FROM agent"))


def test_a_last_will_says_that_an_agent_is_offline(rig: Rig) -> None:
    assert _status(rig, "online", 10.0) == "online"
    # Dated by the beginning of the connection, before the `online` it ends.
    assert _status(rig, "offline", 9.9) == "offline"
    assert _status(rig, "online", 20.0) == "online"


def test_the_last_will_of_an_earlier_run_says_nothing_about_this_one(rig: Rig) -> None:
    for state, t, epoch in (("online", 10.0, "aa"), ("online", 20.0, "bb"), ("offline", 9.9, "aa")):
        last = _status(rig, state, t, epoch)
    assert last == "online"
    assert _status(rig, "offline", 19.9, "bb") == "offline"
    assert _status(rig, "offline", 9.9, "aa") == "offline"


def test_an_agent_whose_clock_was_ahead_is_believed_afterwards(rig: Rig) -> None:
    assert _status(rig, "offline", 4e9, "aa") == "offline"
    assert _status(rig, "online", 1.7e9, "bb") == "online"
    assert _status(rig, "online", 0.0, "cc") == "online"
    assert rig.one("SELECT epoch FROM agent") == "cc"


def test_no_status_document_keeps_others_out(rig: Rig) -> None:
    for document in (b'{"state":"\\ud800\\u0000","t":1e300}', b'{"state":"x","t":NaN,"reason":"\\udc00"}'):
        parsed = payloads.maybe_status(document)
        assert parsed is not None
        rig.store.status(PRESS, parsed | {"version": "x\0" * 500})
    assert rig.rows("SELECT state, reason, length(version) FROM agent") == [("x", "?", 256)]


def test_a_hole_that_is_asked_for_in_vain_keeps_no_other_out(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    for number in range(7):
        agent.add(sample(number))
    rig.write([record for record in agent.records if (record.stream, record.seq) not in GONE])
    first, second = sorted(rig.store.holes.askable(10, NS, 1), key=lambda hole: hole.first)
    assert (first.first, second.first) == (3, 5)
    assert rig.store.holes.claim(first, NS, 1)
    rig.clock.advance(10**15)
    assert rig.store.holes.askable(10, NS, 1) == [second]
    assert rig.store.holes.askable(1, NS, 1) == [second]
    assert rig.store.holes.count() == 2


def test_one_receiver_asks_for_a_hole_and_only_so_often(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    for number in range(5):
        agent.add(sample(number))
    rig.write([record for record in agent.records if (record.stream, record.seq) != (SAMPLE, 3)])
    (hole,) = rig.store.holes.missing(10)
    other = Rig(rig.database)
    assert rig.store.holes.claim(hole, 60 * NS, 3)
    assert not other.store.holes.claim(hole, 60 * NS, 3)
    for pause_s in (61, 241):
        other.clock.advance(pause_s * NS)
        rig.clock.advance(pause_s * NS)
        assert other.store.holes.claim(hole, 60 * NS, 3)
        assert not rig.store.holes.claim(hole, 60 * NS, 3)
    other.clock.advance(10**15)
    assert not other.store.holes.claim(hole, 60 * NS, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_of_an_earlier_version_is_brought_to_this_one(request, tmp_path: Path, kind: str) -> None:
    from edge_agent.receiver.database import schema
    from edge_agent.receiver.database.postgresql import PostgresDatabase
    from edge_agent.receiver.database.sqlite import SqliteDatabase

    steps = schema.steps(kind)
    later = (*steps, ("CREATE TABLE later (x integer)", "INSERT INTO later VALUES (1)"))

    def database(known) -> SqliteDatabase | PostgresDatabase:
        if kind == "sqlite":
            return SqliteDatabase(tmp_path / "x.db", known)
        return PostgresDatabase(request.getfixturevalue("postgres").url, "versions", "day", known)

    Rig(database(steps)).store.close()
    rig = Rig(database(later))
    assert rig.one("SELECT x FROM later") == 1
    rig.store.close()
    Rig(database(later)).store.close()
    with pytest.raises(StoreError, match=r"version 2.*knows 1\n.*hint: a later version") as caught:
        Rig(database(steps))
    assert type(caught.value) is StoreError


def test_qualities_have_their_words(rig: Rig) -> None:
    rows = rig.rows("SELECT quality, label, bad FROM quality WHERE quality IN (0, 64, 130) ORDER BY quality")
    assert [(q, label, bool(bad)) for q, label, bad in rows] == [
        (0, "good", False), (64, "no_reply", True), (130, "exception_2", True)
    ]  # fmt: skip


def test_a_sample_keeps_its_nanoseconds(rig: Rig) -> None:
    agent = FakeAgent(small_site(), A)
    rig.write(agent.records)
    dict_hash, body = agent.records[1].dict_hash, [0, [0], [0], [1], []]
    odd = _record(Kind.SAMPLES, 10, body, stream=SAMPLE, dict_hash=dict_hash, wall_ns=WALL + 1_234_567)
    write_all(rig.store, rig.batch([odd]))
    ((t, ns),) = rig.rows("SELECT t, ns FROM sample")
    exact = t if isinstance(t, int) else round(t.timestamp() * 1e6) * 1000 + ns
    assert (exact, ns) == (WALL + 1_234_567, 567)
    assert Sample(0, MonoNs(0), WallNs(exact), 1, Quality(0)).wall_ns == exact
