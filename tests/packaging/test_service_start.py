"""The service starts with the system whatever is not there yet, and takes each thing when it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.model import NS
from tests.e2e.plant import CONFIG
from tests.packaging.operation import PORT, UNIT, Operation
from tests.rigs import shim
from tests.rigs.gateway import Gateway
from tests.rigs.shim import Shim

pytestmark = pytest.mark.needs("cc")

BROKER = "broker.plant"
IN_1970_S = 600
"""A board without a battery begins there."""


@pytest.fixture(scope="module")
def clock(gw: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """The service's wall clock, which nobody has set."""
    library, control = "/usr/local/lib/shim.so", "/var/lib/edge-agent/clock"
    gw.copy_in(shim.build(tmp_path_factory.mktemp("shim")), library)
    gw.run("install", "-d", "-o", "edge-agent", "-g", "edge-agent", "-m", "0750", "/var/lib/edge-agent")
    gw.write(control, "", owner="edge-agent:edge-agent")
    clock = Shim(gw.path(control), Path(library))
    clock.wall_offset_ns = IN_1970_S * NS - time.time_ns()
    lines = "".join(f"Environment={name}={value}\n" for name, value in clock.env.items())
    # The control file is its own path inside.
    lines = lines.replace(str(gw.path(control)), control)
    gw.write(f"/etc/systemd/system/{UNIT}.d/clock.conf", f"[Service]\n{lines}")
    return clock


@pytest.fixture(scope="module")
def it(gw: Gateway, clock: Shim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    """Booted, the service enabled: no adapter, no broker, no name of it, the clock in 1970."""
    config = CONFIG.replace('url = "{url}"', 'url = "{url}"\ninsecure = true')
    with Operation(gw, tmp_path_factory.mktemp("start"), url=f"mqtt://{BROKER}", config=config) as it:
        it.configure()
        gw.run("systemctl", "enable", UNIT)
        gw.stop()
        gw.boot_again()
        yield it


def test_with_nothing_there_it_is_up_with_the_system_and_says_what_is_missing(gw, it) -> None:
    assert gw.run("systemctl", "is-system-running").out == "running\n"
    assert gw.properties(UNIT, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    gw.wait(lambda: it.has_said(f"bus line: {PORT}: cannot be opened: No such file"), "word of the port")
    status = gw.wait(lambda: s if (s := it.status()) and s["uplink"]["error"] else None, "the uplink's error")
    assert BROKER in status["uplink"]["error"] and status["uplink"]["hint"]
    assert status["agent"]["clock_synchronised"] is False
    shown = gw.run("edge-agent", "status").out
    assert "clock NOT synchronised" in shown and "hint: " in shown


def test_an_adapter_that_comes_late_is_taken(gw, it) -> None:
    it.plug()
    gw.wait(lambda: it.is_bus("open"), "the bus to be open")
    gw.wait(lambda: it.has_said("device a answers"), "word of the devices")


def test_a_broker_that_comes_late_gets_all_that_was_read(gw, it) -> None:
    it.start_receiving()
    gw.enter("sh", "-c", f"echo 127.0.0.1 {BROKER} >>/etc/hosts")
    gw.wait(lambda: it.receiver.of_kind("sample"), "records")
    times = [item["t"] for item in it.receiver.of_kind("sample")]
    assert IN_1970_S <= min(times) <= max(times) < IN_1970_S + 600


def test_a_clock_that_is_set_late_is_declared(gw, it, clock) -> None:
    clock.wall_offset_ns = 0
    # As systemd-timesyncd does it; in its sandbox the service may not ask the kernel.
    gw.run("install", "-D", "/dev/null", "/run/systemd/timesync/synchronized")
    it.reads_again()
    gw.wait(lambda: it.status()["agent"]["clock_synchronised"], "the clock to be trusted")
    steps = it.receiver.of_kind("clock_set")
    assert steps and steps[0]["before"] < IN_1970_S + 600
    assert steps[-1]["t"] > time.time() - 600


def test_in_the_end_nothing_is_missing(gw, it) -> None:
    gw.run("systemctl", "stop", UNIT)
    gw.wait(lambda: it.receiver.of_kind("stop"), "a record of the stop")
    end = it.receiver.finish()
    print(end)
    assert (end["missing"], end["gaps"], end["undecodable"]) == (0, 0, 0)
    assert len(it.ledger().starts) == 1
