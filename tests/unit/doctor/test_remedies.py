"""What is to be typed does what it says to a path with any name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge_agent.doctor import certificates, configuration, disk
from edge_agent.doctor.access import Look, Node, User
from edge_agent.doctor.findings import COMMAND, Finding
from edge_agent.doctor.unit import Unit
from edge_agent.errors import Problem

PATH = "/srv/my plant; reboot $(id)/it's"
SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990}), group="edge-agent")
LOOK = Look(path=PATH, nodes=(Node(path=PATH, uid=0, gid=0, mode=0o600),))
LOADED = configuration.Loaded(path=PATH, is_default=False)
UNREAD = configuration.Loaded(
    path=PATH, is_default=False, problems=(Problem(file=PATH, line=1, key="", message="is wrong"),)
)
DISK = disk.Disk(spool=PATH, place=PATH, is_read_only=True, inodes=9, free_inodes=0)
LIMITS = disk.Limits(max_bytes=2, min_free_bytes=1)


def findings() -> Iterator[Finding]:
    yield from configuration.judge(LOADED, LOOK, SERVICE)
    yield from configuration.judge(UNREAD, LOOK, SERVICE)
    key = certificates.File(owner="uplink", key="key", look=LOOK)
    yield from certificates.judge_file(key, SERVICE, Unit(), 0.0)
    open_key = replace(LOOK, nodes=(replace(LOOK.node, mode=0o644),))
    handed = Unit(credentials=("/srv",))
    yield from certificates.judge_file(replace(key, look=open_key), SERVICE, handed, 0.0)
    state = disk.SpoolState(look=LOOK, damage=("torn",))
    yield from disk.judge(DISK, state, LIMITS, SERVICE)


COMMANDS = [
    line.removeprefix(COMMAND)
    for one in findings()
    for line in one.remedy.splitlines()
    if line.startswith(COMMAND) and "reboot" in line
]


def test_all_kinds_of_commands_are_looked_at():
    text = "\n".join(COMMANDS)
    for word in (
        "check",
        "chown root",
        "chmod 640",
        "chmod 600",
        "remount",
        "du -xh",
        "inodes",
        "verify",
        "chown -R",
    ):
        assert word in text


@pytest.mark.parametrize("line", COMMANDS)
def test_a_path_stays_one_word(line):
    # Of a command within a command the inner one is looked at.
    inner = line[line.index("$(findmnt") + 2 : -2] if "$(findmnt" in line else line
    assert PATH in shlex.split(inner)
