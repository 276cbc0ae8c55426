"""The agent as a service: signals, notifications, what it loads, a port that goes and comes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.simulator import log
from tests.e2e import oracle
from tests.e2e.plant import CONFIG, SCRIPT
from tests.e2e.rig import Object, Rig

needs_broker = pytest.mark.needs("mosquitto")


@pytest.fixture
def rig(tmp_path):
    with Rig(tmp_path, scripts={"line": SCRIPT}, config=CONFIG) as rig:
        yield rig


def devices(rig: Rig) -> dict[str, Object]:
    return {device["name"]: device for bus in rig.status()["buses"] for device in bus["devices"]}


@needs_broker
def test_the_daemon_has_neither_numba_nor_numpy_in_its_memory(rig) -> None:
    rig.start_agent()
    status = rig.wait(lambda: rig.status() if rig.of_kind("sample") else None, what="first sample")
    maps = Path(f"/proc/{status['agent']['pid']}/maps").read_text()
    assert status["agent"]["kernels"] == "native"
    assert "edge_agent_kernels" in maps
    for name in ("numba", "llvmlite", "numpy", "LLVM", "pymodbus"):
        assert name not in maps, name
    rig.finish()


@needs_broker
def test_sigterm_closes_the_window_says_offline_and_exits_0(rig) -> None:
    rig.start_agent()
    rig.wait(lambda: len(rig.of_kind("sample")) > 20, what="samples")
    began = time.monotonic()
    assert rig.stop_agent() == 0
    print(f"stopped in {time.monotonic() - began:.2f} s")
    end = rig.finish()
    assert end["missing"] == 0
    assert rig.of_kind("stop")[-1]["reason"] == "stopped"
    assert rig.of_kind("status")[-1]["state"] == "offline"
    verdict = oracle.samples(rig.site.devices, rig.served(), rig.objects, rig.runs)
    assert verdict.good(), verdict
    # The open window of the last moments was closed before its time, not dropped.
    flow = [item for item in rig.of_kind("summary") if item["point"] == "flow"]
    counted = sum(item["count"] for item in flow)
    device = next(device for device in rig.site.devices if device.name == "b")
    point = next(point for point in device.points if point.name == "flow")
    served = len(list(log.samples(rig.served(), point, device.unit_id)))
    # One reply may have come while the agent was told to stop.
    assert served - 1 <= counted <= served


@needs_broker
def test_a_second_start_after_an_orderly_end_declares_the_pause(rig) -> None:
    rig.start_agent()
    rig.wait(lambda: rig.of_kind("sample"), what="samples")
    assert rig.stop_agent() == 0
    rig.start_agent()
    rig.wait(lambda: len({item["epoch"] for item in rig.of_kind("start")}) == 2, what="second start")
    rig.finish()
    assert {gap["reason"] for gap in rig.of_kind("gap")} == {"stopped"}
    assert not oracle.undeclared_gaps(rig.objects, rig.runs)


@needs_broker
def test_an_unplugged_port_makes_its_points_bad_and_comes_back(rig) -> None:
    rig.start_agent()
    rig.wait(lambda: devices(rig)["a"]["state"] == "up", what="device up")
    rig.lines["line"].unplug()
    rig.wait(lambda: devices(rig)["a"]["state"] == "down", what="device down")
    bus = rig.status()["buses"][0]
    assert bus["state"] in ("missing", "lost") and bus["message"] and bus["hint"]
    assert "tty-line" in devices(rig)["a"]["why"]
    rig.lines["line"].replug()
    rig.wait(lambda: devices(rig)["a"]["state"] == "up", what="device up again")
    time.sleep(1)
    rig.finish()
    qualities = [item["quality"] for item in rig.of_kind("sample") if item["point"] == "n0"]
    assert "port_down" in qualities and qualities[0] == qualities[-1] == "good"
    verdict = oracle.samples(rig.site.devices, rig.served(), rig.objects, rig.runs)
    assert not verdict.foreign and not verdict.doubled


@needs_broker
def test_without_a_port_and_a_broker_it_starts_and_says_why(rig) -> None:
    rig.broker.stop()
    rig.lines["line"].unplug()
    rig.start_agent()
    status = rig.wait(
        lambda: s if (s := rig.status())["buses"][0]["state"] == "missing" and s["uplink"]["error"] else None,
        what="both said",
    )
    assert status["uplink"]["hint"]
    rig.lines["line"].replug()
    rig.broker.start()
    rig.wait(lambda: rig.of_kind("sample"), what="samples after both came back")
    assert rig.finish()["missing"] == 0


@needs_broker
def test_a_changed_order_of_points_decodes_each_half_with_its_own_dictionary(rig) -> None:
    rig.start_agent()
    rig.wait(lambda: rig.of_kind("sample"), what="samples")
    rig.broker.stop()
    time.sleep(2)
    assert rig.stop_agent() == 0
    lines = rig.config_path.read_text().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.startswith(("n0", "n1", "n2"))]
    block = [lines[place] for place in places][::-1]
    for place, line in zip(places, block, strict=True):
        lines[place] = line
    rig.config_path.write_text("".join(lines))
    rig.start_agent()
    time.sleep(2)
    rig.broker.start()
    rig.wait(lambda: len({i["epoch"] for i in rig.of_kind("start")}) == 2, what="both epochs")
    time.sleep(1)
    assert rig.finish()["missing"] == 0
    births = {item["hash"] for item in rig.of_kind("birth")}
    assert len(births) == 2
    verdict = oracle.samples(rig.site.devices, rig.served(), rig.objects, rig.runs)
    assert verdict.received > 50
    assert verdict.good(), verdict


def test_readiness_and_the_watchdog_reach_the_service_manager(tmp_path) -> None:
    """With a port that is missing and a broker that is away: both are degraded, not dead."""
    config = tmp_path / "agent.toml"
    places = {"line": "/dev/nonexistent", "url": "mqtt://127.0.0.1:1", "spool": str(tmp_path / "spool")}
    text = CONFIG
    for place, value in places.items():
        text = text.replace("{" + place + "}", value)
    config.write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        agent = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "run", "--config", config, "--socket", tmp_path / "s"],
            env=environment,
            stderr=subprocess.PIPE,
        )
        try:
            assert b"READY=1" in manager.recv(4096)
            for _ in range(3):
                assert b"WATCHDOG=1" in manager.recv(4096)
            agent.send_signal(signal.SIGTERM)
            messages = [manager.recv(4096)]
            while b"STOPPING=1" not in messages[-1]:
                messages.append(manager.recv(4096))
            _, errors = agent.communicate(timeout=20)
        finally:
            with contextlib.suppress(OSError):
                agent.kill()
            agent.wait()
    assert agent.returncode == 0, errors


def test_a_stopped_process_is_no_longer_fed_to_the_watchdog(tmp_path) -> None:
    """SIGSTOP stands for a daemon that hangs: the manager hears nothing and would restart it."""
    config = tmp_path / "agent.toml"
    text = CONFIG.replace("{line}", "/dev/nonexistent").replace("{url}", "mqtt://127.0.0.1:1")
    config.write_text(text.replace("{spool}", str(tmp_path / "spool")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        agent = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "run", "--config", config, "--socket", tmp_path / "s"],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"WATCHDOG=1" not in manager.recv(4096):
                pass
            agent.send_signal(signal.SIGSTOP)
            manager.settimeout(2)
            with pytest.raises(TimeoutError):
                for _ in range(100):
                    manager.recv(4096)
        finally:
            agent.kill()
            agent.wait()


def test_a_wrong_configuration_ends_with_2_and_all_its_problems(tmp_path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.replace("baud = 115200", 'baud = "fast"').replace("unit_id = 2", "unit_id = 1"))
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "run", "--config", config],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "agent.toml:" in done.stderr and "baud" in done.stderr and "unit" in done.stderr


@needs_broker
def test_a_bus_is_traced_frame_by_frame_and_watched(rig) -> None:
    rig.start_agent("--trace", "line")
    rig.wait(lambda: rig.of_kind("sample"), what="samples")
    command = [sys.executable, "-m", "edge_agent", "watch", "--socket", rig.socket, "--count", "2"]
    watched = subprocess.run([*command, "--interval", "0.2"], capture_output=True, text=True, timeout=30)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count("QUALITY") == 2 and "b.level" in watched.stdout
    lines = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=30
    ).stdout.splitlines()
    assert [json.loads(line)["agent"]["id"] for line in lines] == ["gateway", "gateway"]
    rig.finish()
    traced = (rig.folder / "agent.out").read_text().splitlines()
    requests = [line for line in traced if "-> 01 03 00 00" in line]
    replies = [line for line in traced if "<- 01 03" in line]
    assert requests and "unit 1 read holding" in requests[0] and "gap" in requests[0]
    assert replies and "[ok" in replies[0]
