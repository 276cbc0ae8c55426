"""`edge-agent receive --to` as processes: several sharing the load, killed where it hurts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.model import NS
from edge_agent.receiver.database.store import Store
from edge_agent.receiver.ingest import Ingest, IngestOptions
from edge_agent.records.values import SAMPLE, EncodedRecord, Kind
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.connection.wire import ConnectOptions
from tests.contract.agent_records import FakeAgent, alarm, sample, small_site, summary
from tests.contract.broker import Broker, Probe, free_port
from tests.contract.databases import new_database, schema_name
from tests.contract.postgres import Postgres, running

pytestmark = pytest.mark.needs("mosquitto")

MS = 1_000_000
_UNBOUNDED = ("max_queued_messages 0",)
KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
PATIENCE_S = 60


class Target:
    """The database as another program sees it."""

    def __init__(self, kind: str, directory: Path, server: Postgres | None) -> None:
        self.name = schema_name()
        self._file = directory / "records.db"
        self._server = server if kind == "postgresql" else None
        self.options = (
            ["--to", self._server.url, "--schema", self.name]
            if self._server
            else ["--to", f"sqlite:{self._file}"]
        )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        if self._server is not None:
            return self._server.rows(statement.replace("@", f"{self.name}."))
        with contextlib.closing(sqlite3.connect(self._file, timeout=20)) as connection:
            return connection.execute(statement.replace("@", "")).fetchall()

    def count(self, table: str) -> int:
        """0 while it is not there yet."""
        try:
            return int(self.rows(f"SELECT COUNT(*) FROM @{table}")[0][0])
        except Exception:  # noqa: BLE001  (psycopg's and sqlite3's have nothing in common)
            return 0


@pytest.fixture(params=KINDS)
def target(request, tmp_path: Path) -> Target:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return Target(request.param, tmp_path, server)


class Receive:
    """The command; its messages go to a file, so that no pipe fills."""

    def __init__(self, broker: Broker, target: Target, directory: Path, name: str, *options: str) -> None:
        self._log = directory / f"{name}.log"
        self._command = [
            sys.executable, "-m", "edge_agent", "receive", "--url", broker.url, "--client-id", name, "--json",
            *target.options, *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "TZ": "UTC"},
            )  # fmt: skip
        _until(lambda: "listening" in self.log or self._process.poll() is not None)
        assert self._process.poll() is None, self.log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.write_text("")

    def stop(self) -> str:
        """As an operator does; what it says at its end."""
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, self.log
        return output

    def __enter__(self) -> Receive:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _until(true: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _agents(names: Sequence[str], records: int) -> dict[str, list[EncodedRecord]]:
    """Runs of agents with `records` sample records of two values each, and a little of everything else."""
    made = {}
    for number, name in enumerate(names):
        agent = FakeAgent(small_site("pressure", "speed"), bytes([number + 1]) * 8)
        for value in range(records):
            agent.add(sample(value, value), sample(value, value, point=1))
        agent.add(summary(5.0), alarm(True))
        agent.stop()
        made[name] = agent.records
    return made


def _publish(probe: Probe, name: str, records: Sequence[EncodedRecord], *, channel: str = "data") -> None:
    for one in _send(probe, name, records, channel=channel):
        one.wait_for_publish(30)


def _send(probe: Probe, name: str, records: Sequence[EncodedRecord], *, channel: str = "data") -> list[Any]:
    """As an agent does, births first; what is to be waited for."""
    root = f"ea1/plant-a/{name}/up"
    for record in records:
        if record.kind == Kind.BIRTH:
            probe.publish(f"{root}/birth", record.data, retain=True)
    # Without a wait for each: the broker is to have many on the way when somebody is killed.
    return [probe._client.publish(f"{root}/{channel}/{r.stream}", r.data, qos=1) for r in records]


def _assert_everything_once(target: Target, agents: dict[str, list[EncodedRecord]]) -> None:
    everything = sorted((name, r.stream, r.seq) for name, records in agents.items() for r in records)
    assert sorted(target.rows("SELECT agent, stream, seq FROM @record")) == everything
    # The samples' first record of an epoch has no rows.
    values = {name: 2 * (sum(r.stream == SAMPLE for r in records) - 1) for name, records in agents.items()}
    assert dict(target.rows("SELECT agent, COUNT(*) FROM @sample GROUP BY agent")) == values
    assert len(target.rows('SELECT DISTINCT agent, point, t, seq, "row" FROM @sample')) == sum(
        values.values()
    )
    assert target.count("alarm") == target.count("summary") == target.count("stop") == len(agents)
    assert target.count("missing") == 0 and target.count("unread") == 0


def test_two_receivers_share_the_load_and_one_is_killed(target: Target, tmp_path: Path) -> None:
    agents = _agents(["one", "two"], 800)
    total = sum(map(len, agents.values()))
    with (
        Broker(tmp_path, options=_UNBOUNDED) as broker,
        Receive(broker, target, tmp_path, "left", "--share", "g") as left,
        Receive(broker, target, tmp_path, "right", "--share", "g") as right,
        Probe(broker, "none") as probe,
    ):
        sent = [one for name, records in agents.items() for one in _send(probe, name, records)]
        _until(lambda: target.count("record") > total // 8)
        left.kill()
        at_death = target.count("record")
        for one in sent:
            one.wait_for_publish(30)
        left.start()
        _until(lambda: target.count("record") >= total)
        ends = [left.stop(), right.stop()]
    assert at_death < total, "it was killed when everything was over"
    _assert_everything_once(target, agents)
    assert all('"missing": 0' in end or '"missing":0' in end for end in ends), ends


def test_two_receivers_that_both_get_everything_store_it_once(target: Target, tmp_path: Path) -> None:
    agents = _agents(["one"], 400)
    with (
        Broker(tmp_path, options=_UNBOUNDED) as broker,
        Receive(broker, target, tmp_path, "left") as left,
        Receive(broker, target, tmp_path, "right") as right,
        Probe(broker, "none") as probe,
    ):
        _publish(probe, "one", agents["one"])
        _until(lambda: target.count("record") >= len(agents["one"]))
        left.stop()
        right.stop()
    _assert_everything_once(target, agents)


@pytest.mark.soak
def test_receivers_that_are_killed_again_and_again(target: Target, tmp_path: Path, seed: int) -> None:
    """Forty kills of two receivers at random moments, while records flow."""
    rng = random.Random(seed)
    agents = _agents(["one", "two", "three"], 4000)
    total = sum(map(len, agents.values()))
    flow = [(name, record) for name, records in agents.items() for record in records]
    rng.shuffle(flow)
    with (
        Broker(tmp_path, options=_UNBOUNDED) as broker,
        Receive(broker, target, tmp_path, "left", "--share", "g") as left,
        Receive(broker, target, tmp_path, "right", "--share", "g") as right,
        Probe(broker, "none") as probe,
    ):
        for name, records in agents.items():
            _send(probe, name, [record for record in records if record.kind == Kind.BIRTH])
        for part in range(40):
            for name, record in flow[part::40]:
                _send(probe, name, [record])
            time.sleep(rng.random())
            victim = rng.choice((left, right))
            victim.kill()
            time.sleep(rng.random() / 2)
            victim.start()
        _until(lambda: target.count("record") >= total and target.count("unread") == 0)
        left.stop()
        right.stop()
    _assert_everything_once(target, agents)


@pytest.mark.needs("postgresql")
def test_postgresql_killed_in_the_middle_costs_time_only(tmp_path: Path) -> None:
    agents = _agents(["one"], 1000)
    with (
        running(durable=True) as server,
        Broker(tmp_path, options=_UNBOUNDED) as broker,
        Receive(broker, Target("postgresql", tmp_path, server), tmp_path, "r") as receive,
        Probe(broker, "none") as probe,
    ):
        target = Target("postgresql", tmp_path, server)
        target.name = receive._command[receive._command.index("--schema") + 1]
        _publish(probe, "one", agents["one"][:600])
        _until(lambda: target.count("record") > 100)
        server.kill()
        _publish(probe, "one", agents["one"][600:])
        _until(lambda: "nothing is acknowledged" in receive.log)
        server.start()
        _until(lambda: target.count("record") >= len(agents["one"]))
        _until(lambda: "the database is back" in receive.log)
        receive.stop()
        _assert_everything_once(target, agents)


# --- in one process, where it can be stopped anywhere ---------------------------------------------


class Ingesting:
    """Turned by the test itself, so that it can be stopped anywhere, as by SIGKILL."""

    def __init__(self, broker: Broker, target: Target, directory: Path, **options: Any) -> None:
        kind = "sqlite" if target._server is None else "postgresql"
        database = new_database(kind, directory, target._server, target.name if target._server else "records")
        connect = ConnectOptions(
            address=address.parse(broker.url), client_id="ingest", clean=False, session_expiry_s=600,
            manual_ack=True, receive_maximum=1000,
        )  # fmt: skip
        policy = BackoffPolicy(floor_ns=20 * MS, cap_ns=50 * MS)
        self.store = Store(database, SystemClock())
        wanted = IngestOptions(policy=policy, **options)
        self.ingest = Ingest(connect, self.store, SystemClock(), Counters(), wanted)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, self.ingest.counts
            self.ingest.turn()
            self.ingest.link.wait(0.02)

    def until_subscribed(self) -> None:
        # What ended a connection meanwhile is noticed in the first turn.
        self.ingest.turn()
        self.until(lambda: self.ingest.is_listening)

    def die(self) -> None:
        self.ingest.link._connection._guarded.close()  # type: ignore[union-attr]
        self.store.close()

    def __enter__(self) -> Ingesting:
        return self

    def __exit__(self, *_: object) -> None:
        self.ingest.link.close()
        self.store.close()


class Killed(Exception):
    pass


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    agent = FakeAgent(small_site("pressure", "speed"), b"\x01" * 8)
    for value in range(50):
        agent.add(sample(value, value), sample(value, value, point=1))
    agent.add(summary(5.0), alarm(True))
    agent.stop()
    yield agent


@pytest.mark.parametrize("where", ["insert_records", "append", "lock_streams", "commit", "acknowledge"])
def test_killed_anywhere_between_reading_and_puback_nothing_is_lost_or_doubled(
    target: Target, tmp_path: Path, agent: FakeAgent, where: str
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with Broker(tmp_path, options=_UNBOUNDED) as broker, Probe(broker, "none") as probe:
        first = Ingesting(broker, target, tmp_path)
        first.until_subscribed()
        place = first.ingest.link if where == "acknowledge" else first.store._db
        setattr(place, where, killed)
        _publish(probe, "one", agent.records)
        with pytest.raises(Killed):
            first.until(lambda: False)
        first.die()
        assert (target.count("record") > 0) is (where == "acknowledge")
        with Ingesting(broker, target, tmp_path) as second:
            counts = second.ingest.counts
            second.until(lambda: counts.records + counts.duplicates >= len(agent.records))
            assert (counts.duplicates > 0) is (where == "acknowledge")
    _assert_everything_once(target, {"one": agent.records})


def test_acknowledgements_to_agents_come_from_the_database(
    target: Target, tmp_path: Path, agent: FakeAgent
) -> None:
    """Two receivers have every other record each; what they say together is everything."""
    wanted = {"epoch": b"\x01" * 8, "stream": SAMPLE, "upto": 51}
    with Broker(tmp_path) as broker, Probe(broker, "ea1/+/+/dn/#") as probe:
        odd = [record for record in agent.records if record.seq % 2]
        even = [record for record in agent.records if not record.seq % 2]

        def said() -> list[Any]:
            return [msgpack.unpackb(payload) for payload in probe.payloads("ea1/plant-a/one/dn/ack")]

        with Ingesting(broker, target, tmp_path, ack=True) as first:
            first.until_subscribed()
            _publish(probe, "one", odd)
            first.until(lambda: wanted | {"upto": 1} in said())
        assert wanted not in said()
        with Ingesting(broker, target, tmp_path, ack=True) as second:
            second.until_subscribed()
            _publish(probe, "one", even)
            second.until(lambda: wanted in said())


def test_what_is_missing_is_asked_for_and_then_there(
    target: Target, tmp_path: Path, agent: FakeAgent
) -> None:
    hole = [record for record in agent.records if record.stream == SAMPLE and 10 <= record.seq <= 12]
    with (
        Broker(tmp_path) as broker,
        Probe(broker, "ea1/+/+/dn/#") as probe,
        Ingesting(broker, target, tmp_path, fill_after_ns=NS // 2) as ingesting,
    ):
        ingesting.ingest._look_every_ns = NS // 10
        ingesting.until_subscribed()
        _publish(probe, "one", [record for record in agent.records if record not in hole])
        topic = "ea1/plant-a/one/dn/replay"
        ingesting.until(lambda: bool(probe.payloads(topic)))
        asked = msgpack.unpackb(probe.payloads(topic)[0])
        assert asked == {"stream": SAMPLE, "epoch": b"\x01" * 8, "from": 10, "to": 12}
        _publish(probe, "one", hole, channel="hist")
        ingesting.until(lambda: target.count("missing") == 0)
        assert len(probe.payloads(topic)) == 1
    _assert_everything_once(target, {"one": agent.records})


def test_hostile_messages_do_not_stop_it(target: Target, tmp_path: Path, agent: FakeAgent) -> None:
    hostile = (b"", b"\xff" * 100, b"\x98", b"{}", b"\xdd\xff\xff\xff\xff", b"\x91" * 20000)
    with (
        Broker(tmp_path) as broker,
        Probe(broker, "none") as probe,
        Ingesting(broker, target, tmp_path) as ingesting,
    ):
        ingesting.until_subscribed()
        for payload in hostile:
            for topic in ("data/sample", "hist/birth", "status", "birth", "data/%00", "what/ever"):
                probe.publish(f"ea1/plant-a/one/up/{topic}", payload)
        probe.publish("ea1/plant-a/one/up/status", b'{"state":"online","t":"x","epoch":[1]}')
        _publish(probe, "one", agent.records)
        ingesting.until(lambda: target.count("record") == len(agent.records))
    assert target.count("unread") >= 10
    assert target.rows("SELECT state FROM @agent") == [("online",)]


def test_without_a_database_it_says_why_and_fails(tmp_path: Path) -> None:
    for to, words in (
        (f"postgresql://postgres@127.0.0.1:{free_port()}/x", "nothing is acknowledged"),
        (f"sqlite:{tmp_path}/none/x.db", "cannot be opened"),
        ("mysql://x", "hint: sqlite:FILE or postgresql://"),
        ("postgresql://u:secret@h/x", "hint: put it into ~/.pgpass"),
        (f"sqlite:{__file__}", "is no database"),
    ):
        url = f"mqtt://127.0.0.1:{free_port()}"
        command = [
            sys.executable,
            "-m",
            "edge_agent",
            "receive",
            "--url",
            url,
            "--to",
            to,
            "--seconds",
            "0.5",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 1, ended
        assert words in ended.stderr and "Traceback" not in ended.stderr and "secret" not in ended.stderr
