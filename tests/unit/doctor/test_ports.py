from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor import adapters
from edge_agent.doctor.access import Node, User
from edge_agent.doctor.findings import State
from edge_agent.doctor.ports import Holder, Kind, Port, judge
from edge_agent.doctor.unit import Unit

BY_ID = "/dev/serial/by-id/usb-FTDI_A1-if00-port0"
SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990, 20}), group="edge-agent")
OUTSIDER = replace(SERVICE, gids=frozenset({990}))
UNIT = Unit(load_state="loaded", device_policy="closed", device_allow=("char-188 rw", "char-ttySC rw"))
PORT = Port(
    bus="line1",
    path=BY_ID,
    real="/dev/ttyUSB0",
    node=Node(path="/dev/ttyUSB0", uid=0, gid=20, mode=0o660, owner="root", group="dialout"),
    major=188,
    driver="ftdi_sio",
    driver_names=frozenset({"ttyUSB"}),
)


def found(port=PORT, user=SERVICE, unit=UNIT):
    return {one.subject: one for one in judge(port, user, unit)}


def states(port=PORT, user=SERVICE, unit=UNIT):
    return {one.state for one in judge(port, user, unit)}


def test_a_port_as_it_should_be_has_nothing_but_ok():
    assert states() == {State.OK}


def test_a_port_that_is_gone_names_what_is_there_instead():
    one = found(replace(PORT, real="", link_to="../../ttyUSB0", others=("/dev/serial/by-id/usb-B",)))
    (only,) = one.values()
    assert only.state is State.FAULT
    assert "a link to ../../ttyUSB0, which is gone; what is: /dev/serial/by-id/usb-B" in only.seen
    assert 'serial = "/dev/serial/by-id/usb-B"' in only.remedy


@pytest.mark.parametrize(("count", "more"), [(0, False), (1, False), (3, False), (4, True)])
def test_at_most_three_other_ports_are_named(count, more):
    others = tuple(f"/dev/serial/by-id/usb-{n}" for n in range(count))
    (one,) = judge(replace(PORT, real="", others=others), SERVICE, UNIT)
    assert one.seen.count("by-id") == min(count, 3)
    assert one.seen.endswith(", ...") == more
    assert one.remedy


def test_what_is_no_port_is_a_fault_and_nothing_more_is_judged():
    (one,) = judge(replace(PORT, kind=Kind.OTHER), SERVICE, UNIT)
    assert one.state is State.FAULT


def test_a_device_file_without_a_driver_is_a_fault_of_its_own():
    (one,) = judge(replace(PORT, kind=Kind.NO_DRIVER), SERVICE, UNIT)
    assert (one.state, "no driver" in one.seen) == (State.FAULT, True)


def test_a_number_instead_of_a_name_is_a_note_with_the_line_to_write():
    one = found(replace(PORT, path="/dev/ttyUSB0", by_id=BY_ID))["line1: name"]
    assert (one.state, one.remedy) == (State.NOTE, f'write: serial = "{BY_ID}"')


def test_it_is_the_services_user_whose_rights_count():
    one = found(user=OUTSIDER)["line1: permission"]
    assert one.state is State.FAULT
    assert "$ sudo usermod -aG dialout edge-agent\n$ sudo systemctl restart edge-agent" in one.remedy


def test_a_person_without_a_service_logs_in_again():
    me = User(name="me", uid=1000, gids=frozenset({1000}), is_service=False)
    assert "log in again" in found(user=me)["line1: permission"].remedy


@pytest.mark.parametrize("group", ["root", "tty"])
def test_nobody_is_made_a_member_of_a_group_that_opens_more_than_ports(group):
    node = Node(path="/dev/ttyS0", uid=0, gid=5, mode=0o660, owner="root", group=group)
    one = found(replace(PORT, node=node), OUTSIDER)["line1: permission"]
    assert one.state is State.FAULT
    assert "usermod" not in one.remedy


def test_a_driver_the_unit_does_not_allow_is_a_fault_with_a_drop_in():
    one = found(replace(PORT, major=235, driver_names=frozenset({"ttyXR"})))["line1: sandbox"]
    assert one.state is State.FAULT
    assert "DeviceAllow=char-235 rw" in one.remedy
    assert "/etc/systemd/system/edge-agent.service.d/port.conf" in one.remedy


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (("char-188 rw",), True),
        (("char-ttyUSB rw",), True),
        (("/dev/ttyUSB0 rw",), True),
        ((f"{BY_ID} rwm",), True),
        (("char-188 r",), False),
        (("char-18 rw", "char-1888 rw"), False),
        ((), False),
    ],
)
def test_a_rule_allows_by_number_by_driver_or_by_name_and_for_both_directions(rules, allowed):
    one = found(unit=replace(UNIT, device_allow=rules))["line1: sandbox"]
    assert (one.state is State.OK) == allowed


def test_any_rule_closes_a_unit_that_says_auto():
    """systemd.resource-control(5): `auto` allows all devices if no explicit DeviceAllow= is present."""
    other = replace(PORT, major=235, driver_names=frozenset({"ttyXR"}))
    assert found(other, unit=replace(UNIT, device_policy="auto"))["line1: sandbox"].state is State.FAULT


def test_a_unit_that_allows_every_device_a_pseudo_terminal_and_no_unit_are_not_judged():
    assert "line1: sandbox" not in found(unit=replace(UNIT, device_policy="auto", device_allow=()))
    assert "line1: sandbox" not in found(replace(PORT, kind=Kind.PTY))
    assert "line1: sandbox" not in found(unit=Unit())


def test_another_program_on_the_port_is_a_fault_and_the_agent_is_not():
    agent = Holder(pid=7, name="edge-agent", is_agent=True)
    assert found(replace(PORT, holders=(agent,)))["line1: use"].state is State.OK
    one = found(replace(PORT, holders=(agent, Holder(pid=42, name="mbpoll"))))["line1: use"]
    assert one.state is State.FAULT
    assert "mbpoll (pid 42)" in one.seen and "edge-agent" not in one.seen
    assert "-p 42" in one.remedy


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ModemManager", "$ sudo systemctl mask --now ModemManager"),
        ("agetty", "$ sudo systemctl mask --now serial-getty@ttyUSB0.service"),
    ],
)
def test_programs_of_the_system_have_a_remedy_of_their_own(name, command):
    assert command in found(replace(PORT, holders=(Holder(pid=1, name=name),)))["line1: use"].remedy


def test_who_does_not_see_all_processes_claims_nothing():
    assert found(replace(PORT, sees_all=False))["line1: use"].state is State.SKIPPED
    other = Holder(pid=3, name="cat")
    assert found(replace(PORT, sees_all=False, holders=(other,)))["line1: use"].state is State.FAULT


def test_consoles_and_login_prompts_and_modem_manager_are_told():
    port = replace(
        PORT, consoles=("kernel command line",), getty="serial-getty@ttyS0.service", modem_manager=True
    )
    got = {one.state: one for one in judge(port, SERVICE, UNIT) if one.state is not State.OK}
    assert "$ sudo systemctl mask --now serial-getty@ttyS0.service" in got[State.FAULT].remedy
    assert "ModemManager" in got[State.WARNING].remedy


def test_without_a_bus_the_port_itself_is_the_subject():
    assert "/dev/ttyUSB0: permission" in found(replace(PORT, bus=""))


# --- adapters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latency_ms", "is_open", "state"),
    [
        (1, True, State.OK),
        (2, True, State.OK),
        (3, True, State.WARNING),
        (16, True, State.WARNING),
        (16, False, State.NOTE),
    ],
)
def test_the_latency_timer_is_a_warning_once_the_agent_could_not_change_it(latency_ms, is_open, state):
    holders = (Holder(pid=7, name="edge-agent", is_agent=True),) if is_open else ()
    (one,) = adapters.judge(replace(PORT, latency_ms=latency_ms, holders=holders))
    assert one.state is state
    assert (state is State.OK) or "/sys/bus/usb-serial/devices/ttyUSB0/latency_timer" in one.remedy


def test_a_port_without_such_a_timer_says_nothing_about_it():
    assert list(adapters.judge(PORT)) == []
    assert list(adapters.judge(replace(PORT, real="", latency_ms=16))) == []


def test_power_saving_is_a_note():
    (one,) = adapters.judge(replace(PORT, autosuspend=True))
    assert one.state is State.NOTE


@pytest.mark.parametrize(
    ("driver", "is_open", "state"),
    [
        ("ftdi_sio", False, State.FAULT),
        ("imx-uart", False, State.SKIPPED),
        ("", False, State.SKIPPED),
        ("imx-uart", True, State.OK),
    ],
)
def test_direction_control_is_known_of_usb_drivers_and_of_a_port_the_agent_holds(driver, is_open, state):
    holders = (Holder(pid=7, name="edge-agent", is_agent=True),) if is_open else ()
    (one,) = adapters.judge(replace(PORT, driver=driver, wants_rs485=True, holders=holders))
    assert one.state is state
