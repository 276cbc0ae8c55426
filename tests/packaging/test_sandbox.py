"""What the unit forbids the agent, each rule with its negative control: the same probe, the rule taken away.

Probes are small programs in the place of the agent (`probes`), under the unit as it is packaged.

Not shown here, because the kernel of this container is shared and its controllers are not to be had, but in
`make vm`: MemoryMax, TasksMax, a port of a real driver. Not shown at all: what systemd-nspawn forbids by
itself (@clock, @keyring, @memlock), what needs a capability that the service does not have anyway
(ProtectKernelLogs, ProtectKernelTunables, ProtectHostname beyond its namespace), other instruction sets
(SystemCallArchitectures), KeyringMode and RemoveIPC.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.conftest import ROOT
from tests.packaging.probes import PROBES, WRITABLE
from tests.packaging.unit_rig import ProbedUnit, probed

NEEDED = ("state folder", "durable file", "pseudo-terminal", "sockets", "resolver", "fork", "credential")


@dataclass(frozen=True, slots=True)
class Rule:
    probes: tuple[str, ...]
    denied: frozenset[str]
    without: str
    """Lines of a drop-in."""
    base: str = ""
    """Lines for both runs, where another rule would forbid it too."""


def rule(*probes: str, denied: str, without: str, base: str = "") -> Rule:
    return Rule(probes, frozenset(denied.split()), without, base)


# An empty NoExecPaths= takes the whole list away, an empty SystemCallFilter= all of the filter.
RULES = {
    "ProtectSystem": rule(
        "write /usr", "write /etc", "write /srv", denied="EROFS", without="ProtectSystem=no"
    ),
    "ProtectHome": rule("read /home", "read /root", denied="EACCES", without="ProtectHome=no"),
    "PrivateTmp": rule("read /tmp", "read /var/tmp", denied="ENOENT", without="PrivateTmp=no"),
    "ProtectKernelModules": rule("list modules", denied="EACCES", without="ProtectKernelModules=no"),
    "ProtectProc": rule("see processes", denied="ENOENT", without="ProtectProc=default"),
    "ProcSubset": rule("see /proc/sys", denied="ENOENT", without="ProcSubset=all"),
    "NoExecPaths": rule(
        *(f"execute {folder}" for folder in WRITABLE),
        "map own file",
        denied="EACCES EPERM",
        without="NoExecPaths=",
    ),
    "MemoryDenyWriteExecute": rule("memory", denied="EPERM EACCES", without="MemoryDenyWriteExecute=no"),
    "RestrictSUIDSGID": rule("setuid", denied="EPERM", without="RestrictSUIDSGID=no"),
    "RestrictNamespaces": rule("namespace", denied="EPERM", without="RestrictNamespaces=no"),
    "LockPersonality": rule("personality", denied="EPERM", without="LockPersonality=no"),
    "RestrictAddressFamilies": rule(
        "netlink", "vsock", denied="EAFNOSUPPORT", without="RestrictAddressFamilies="
    ),
    "SystemCallFilter": rule(
        "chown", "ptrace", "nice", "affinity", denied="EPERM", without="SystemCallFilter="
    ),
    "RestrictRealtime": rule(
        "realtime",
        denied="EPERM",
        without="RestrictRealtime=no",
        base="User=root\nCapabilityBoundingSet=CAP_SYS_NICE\nSystemCallFilter=",
    ),
    "LimitNOFILE": rule("open many files", denied="EMFILE", without="LimitNOFILE=2048"),
    "CapabilityBoundingSet": rule("capabilities", denied="EPERM", without="CapabilityBoundingSet=CAP_CHOWN"),
}


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def unit(request):
    with probed(request.param) as unit:
        yield unit


@pytest.fixture(scope="module")
def found(unit: ProbedUnit) -> dict[str, str]:
    """Everything at once, under the unit as it is."""
    return unit.probe(*PROBES)


def test_the_agent_can_do_what_it_needs(found) -> None:
    assert {name: found[name] for name in NEEDED} == dict.fromkeys(NEEDED, "allowed")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_forbids_what_is_allowed_without_it(unit, found, name) -> None:
    rule = RULES[name]
    with_it = unit.probe(*rule.probes, without=rule.base) if rule.base else found
    for probe in rule.probes:
        assert with_it[probe] in rule.denied, probe
    without = f"{rule.base}\n{rule.without}"
    assert unit.probe(*rule.probes, without=without) == dict.fromkeys(rule.probes, "allowed")


def test_every_probe_belongs_to_a_rule_or_is_needed() -> None:
    used = {probe for rule in RULES.values() for probe in rule.probes}
    by_themselves = {"read key", "write credential", "write agent.toml", "new privileges"}
    by_drop_ins = {"write /data", "execute /data", "be heard elsewhere", "be heard here"}
    assert used | set(NEEDED) | by_themselves | by_drop_ins == set(PROBES)


def test_without_an_errno_a_forbidden_call_kills(unit) -> None:
    """Why SystemCallErrorNumber is set: an unforeseen call is an error, not the end of the agent."""
    assert unit.probe("chown") == {"chown": "EPERM"}
    assert unit.probe("chown", without="SystemCallErrorNumber=") == {}
    assert unit.ended_by() == "31", "SIGSYS"


# Major and minor of a node without a device: ports that no machine has.
PORTS = {
    "ttyS": (4, 250),
    "ttyUSB": (188, 200),
    "ttyACM": (166, 200),
    "ttyAMA": (204, 200),
    "ttymxc": (207, 200),
}


@pytest.mark.parametrize("name", PORTS)
def test_a_port_is_allowed_by_the_number_of_its_driver_which_is_not_loaded(unit, name) -> None:
    """A list without the number is the control."""
    major, minor = PORTS[name]
    node = unit.make_device(f"{name}{minor}", major, minor)
    assert unit.probe(node) == {node: "allowed"}
    others = "\n".join(f"DeviceAllow=char-{other} rw" for other, _ in PORTS.values() if other != major)
    assert unit.probe(node, without=f"DeviceAllow=\n{others}") == {node: "EPERM"}


def test_a_rule_by_name_would_not_allow_a_driver_that_is_loaded_later(unit) -> None:
    """Why the list has numbers."""
    if "ttyUSB" in unit.gw.read("/proc/devices"):
        pytest.skip("usbserial is loaded on this machine")
    node = unit.make_device("ttyUSB9", 188, 9)
    assert unit.probe(node, without="DeviceAllow=\nDeviceAllow=char-ttyUSB rw") == {node: "EPERM"}


def test_any_other_device_is_forbidden_and_a_line_of_a_drop_in_allows_it(unit) -> None:
    node = unit.make_device("ttyMI0", 30, 0)
    assert unit.probe(node, "pseudo-terminal") == {node: "EPERM", "pseudo-terminal": "allowed"}
    assert unit.probe(node, without="DeviceAllow=char-30 rw") == {node: "allowed"}


def drop_in(title: str) -> str:
    """The lines below `title` in the documentation."""
    text = (ROOT / "docs/service.md").read_text()
    block = text[text.index(f"**{title}") :].split("\n    [Service]\n")[1].split("\n\n")[0]
    return "\n".join(line.strip() for line in block.splitlines())


def test_a_spool_elsewhere_is_written_to_and_nothing_is_executed_from_there(unit, found) -> None:
    assert found["write /data"] == "EROFS"
    with_it = unit.probe("write /data", "execute /data", without=drop_in("A spool elsewhere"))
    assert with_it == {"write /data": "allowed", "execute /data": "EACCES"}


def test_other_addresses_are_not_reached_where_only_the_plants_are_allowed(unit, found) -> None:
    assert found["be heard elsewhere"] == found["be heard here"] == "allowed"
    names = ("be heard elsewhere", "be heard here")
    with_it = unit.probe(*names, without=drop_in("Only the plant's addresses"))
    assert with_it == {"be heard elsewhere": "EPERM", "be heard here": "allowed"}


def test_systemd_may_put_it_before_everything_else(unit) -> None:
    lines = drop_in("Before everything else")
    assert unit.probe("scheduler") == {"scheduler": "0"}
    assert unit.probe("scheduler", without=lines) == {"scheduler": "2"}, "SCHED_RR"


@pytest.mark.parametrize("rule", ["ProtectHostname", "PrivateIPC"])
def test_host_name_and_shared_memory_are_the_services_own(unit, rule) -> None:
    space = {"ProtectHostname": "uts", "PrivateIPC": "ipc"}[rule]
    own = unit.gw.enter("readlink", f"/proc/1/ns/{space}").out.strip()
    assert unit.probe(f"ns:{space}")[f"ns:{space}"] != own
    assert unit.probe(f"ns:{space}", without=f"{rule}=no") == {f"ns:{space}": own}


def test_the_cgroups_are_read_only(unit) -> None:
    assert unit.probe("ro:/sys/fs/cgroup") == {"ro:/sys/fs/cgroup": "read-only"}
    without = unit.probe("ro:/sys/fs/cgroup", without="ProtectControlGroups=no")
    assert without == {"ro:/sys/fs/cgroup": "writable"}


def test_a_key_of_root_is_read_as_a_credential_and_by_nobody_else(unit, found) -> None:
    assert found["read key"] == "EACCES"
    assert found["write credential"] in ("EROFS", "EACCES")
    assert found["write agent.toml"] == "EACCES"
    assert unit.probe("credential", without="LoadCredential=") == {"credential": "ENOENT"}


def test_new_privileges_are_impossible(found) -> None:
    """No control: as user of its own with a filter of system calls systemd sets it in any case."""
    assert found["new privileges"] == "EPERM"
