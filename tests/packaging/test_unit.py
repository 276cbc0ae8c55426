"""The unit as systemd's own tools judge it."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.conftest import ROOT
from tests.packaging.unit_rig import UNIT, ProbedUnit, probed

EXPOSURE = tomllib.loads((ROOT / "packaging/security/exposure.toml").read_text())
INSIDE = f"/usr/lib/systemd/system/{UNIT.name}"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def unit(request):
    with probed(request.param) as unit:
        unit.gw.write("/usr/bin/edge-agent", "#!/bin/sh\n", mode=0o755)
        yield unit


@pytest.fixture
def on_252(unit):
    if not unit.gw.enter("systemctl", "--version").out.startswith("systemd 252 "):
        pytest.skip("the figure is that of systemd 252: later ones ask for more and weigh otherwise")
    return unit


def security(unit: ProbedUnit, *options: str):
    command = ("systemd-analyze", "security", "--offline=yes", *options, INSIDE)
    return unit.gw.enter(*command, check=False)


def test_every_line_of_it_is_understood(unit) -> None:
    verified = unit.gw.enter("systemd-analyze", "verify", "--man=no", INSIDE, check=False)
    assert (verified.code, verified.out, verified.err) == (0, "", "")


def test_a_line_that_is_not_understood_would_be_seen(unit) -> None:
    """The control of the above: a setting of a later systemd, and a misspelt one."""
    for line in ("RestartFancySec=5", "MemoryMax=lots"):
        unit.gw.write("/root/control/edge-agent.service", UNIT.read_text() + f"[Service]\n{line}\n")
        verified = unit.gw.enter(
            "systemd-analyze", "verify", "--man=no", "/root/control/edge-agent.service", check=False
        )
        assert "edge-agent.service" in verified.err, line


def test_it_waits_for_no_network_no_clock_and_no_other_program(unit) -> None:
    names = ("After", "Wants", "Requires", "Requisite", "BindsTo")
    said = " ".join(unit.gw.properties("edge-agent", *names).values()).split()
    assert "network.target" in said, "only the order of the end"
    for target in (
        "network-online.target",
        "time-sync.target",
        "time-set.target",
        "systemd-udev-settle.service",
    ):
        assert target not in said
    assert not [name for name in said if name.startswith(("mosquitto", "dev-"))]


def test_it_is_exposed_no_more_than_agreed(on_252) -> None:
    judged = security(on_252, f"--threshold={EXPOSURE['threshold']}", "--no-pager")
    print(judged.out.splitlines()[-1])
    assert judged.code == 0, judged.out


def test_what_is_left_of_exposure_is_what_the_list_says(on_252) -> None:
    found = {item["name"]: item["exposure"] for item in json.loads(security(on_252, "--json=short").out)}
    left = {name: exposure for name, exposure in found.items() if exposure is not None}
    listed = {name: entry for name, entry in EXPOSURE.items() if name != "threshold"}
    assert left == {name: entry["exposure"] for name, entry in listed.items()}
    assert all(entry["why"] for entry in listed.values())
