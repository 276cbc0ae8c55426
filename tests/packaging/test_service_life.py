"""What befalls a service: it is killed, it hangs, the power goes, the adapter is pulled, the broker is away.

Each time it recovers by itself, the journal says what happened, and in the end the receiver has every value
that the devices served, or a declared gap that is no longer than the pause. One service per suite lives
through all of it in turn; every test finds it reading and leaves it so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from edge_agent.model import NS
from tests.packaging.operation import PORT, UNIT, Object, Operation
from tests.rigs.gateway import Gateway

WATCHDOG_S = 5
"""Instead of the 30 s of the package, to be waited for here. Less would be short on a busy test machine."""


@pytest.fixture(scope="module")
def it(gw: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    gw.write(f"/etc/systemd/system/{UNIT}.d/test.conf", f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    gw.run("systemctl", "daemon-reload")
    with Operation(gw, tmp_path_factory.mktemp("life")) as it:
        it.begin()
        yield it


def restarts(gw: Gateway) -> int:
    return int(gw.properties(UNIT, "NRestarts")["NRestarts"])


def told(gap: Object) -> str:
    return f"{gap['lost_stream']} {gap['t1'] - gap['t0']:.2f} s ({gap['reason']})"


def test_killed_it_is_started_again(gw, it) -> None:
    before = restarts(gw)
    it.strike(signal.SIGKILL)
    it.reads_again()
    assert restarts(gw) == before + 1
    assert it.has_said("Main process exited, code=killed, status=9/KILL")
    assert it.has_said("Scheduled restart job")
    assert it.receiver.of_kind("gap")[-1]["reason"] == "interrupted"


def test_when_it_hangs_the_watchdog_ends_it_and_it_is_started_again(gw, it) -> None:
    before = restarts(gw)
    it.strike(signal.SIGSTOP)
    it.reads_again()
    assert restarts(gw) == before + 1
    assert it.has_said(f"Watchdog timeout (limit {WATCHDOG_S}s)!")
    assert it.has_said("Failed with result 'watchdog'")


def test_after_a_power_cut_it_starts_with_the_system(gw, it) -> None:
    epochs = len(it.ledger().starts)
    it.cut_power()
    gw.boot_again()
    it.reads_again()
    assert gw.properties(UNIT, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    assert len(it.ledger().starts) == epochs + 1
    # The boot before ended without a word; this one says that the service is back.
    assert "Stopp" not in gw.journal(UNIT, "-b", "-1").splitlines()[-1]
    assert "started: 1 buses, 2 devices" in gw.journal(UNIT, "-b")


def test_a_pulled_adapter_is_missed_and_another_device_file_is_taken(gw, it) -> None:
    pid, before = gw.main_pid(UNIT), os.path.realpath(it.line.path)
    it.line.unplug()
    gw.unplug()
    gw.wait(lambda: it.has_said(f"bus line: {PORT}: cannot be opened: No such file"), "word of it")
    assert it.is_bus("missing")
    it.replug()
    assert os.path.realpath(it.line.path) != before
    it.reads_again()
    gw.wait(lambda: it.has_said(f"bus line: {PORT} 115200 8N1 is open"), "word of its return")
    assert "port_down" in {item["quality"] for item in it.receiver.of_kind("sample")}
    assert gw.main_pid(UNIT) == pid


def test_while_the_broker_is_away_it_goes_on_and_nothing_is_missing_afterwards(gw, it) -> None:
    pid, count = gw.main_pid(UNIT), len(it.ledger().values)
    it.broker.stop()
    gw.wait(lambda: it.status().get("uplink", {}).get("error"), "the uplink to be down")
    reads = it.line.log.answers.total()
    gw.wait(lambda: it.line.log.answers.total() > reads + 20, "it to go on reading")
    it.broker.start()
    it.reads_again()
    gw.wait(lambda: any(item.get("backlog") for item in it.receiver.of_kind("sample")), "the backlog")
    assert gw.main_pid(UNIT) == pid
    assert len(it.ledger().values) > count


def test_stopped_it_ends_in_order_and_all_it_ever_read_is_there_or_declared(gw, it, record_property) -> None:
    verdict = it.finish()
    record_property("figures", verdict.figures())
    record_property("figures", "not observed: " + ", ".join(map(told, it.receiver.of_kind("gap"))))
    result = gw.properties(UNIT, "ActiveState", "Result", "ExecMainStatus")
    assert result == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    assert gw.journal(UNIT).rindex("stopped") and it.has_said("Deactivated successfully")
    assert it.receiver.of_kind("status")[-1]["state"] == "offline"
    assert len(it.lives) == 4
    assert not (faults := verdict.faults()), (len(faults), faults[:5])
    assert not verdict.losses
    assert verdict.excused <= 0.1 * verdict.served
    pauses = {life.ended for life in it.lives[:-1]}
    declared = {gap.t0 for gap in it.ledger().gaps if gap.stream == "sample" and gap.t0}
    assert len(declared) == len(pauses)
    assert all(any(abs(t0 - end) < 2 * NS for t0 in declared) for end in pauses)
