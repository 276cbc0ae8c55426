"""Whom the agent runs as: the unit's user, else the package's, else whose the socket of a running agent is,
else whoever asks."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from pathlib import Path

from edge_agent.doctor.access import User
from edge_agent.doctor.unit import Unit

USUAL = "edge-agent"


def of_the_agent(unit: Unit, socket: Path) -> User:
    if unit.is_known and not unit.user:
        return _user(pwd.getpwuid(0), (), is_service=True)
    for name in (unit.user, USUAL):
        with contextlib.suppress(KeyError):
            return _user(pwd.getpwnam(name), unit.groups, is_service=True)
    try:
        return _anybody(socket.stat().st_uid)
    except OSError:
        return _anybody(os.geteuid())


def _anybody(uid: int) -> User:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        gids = frozenset(os.getgroups()) if uid == os.geteuid() else frozenset[int]()
        return User(name=str(uid), uid=uid, gids=gids, is_service=False)
    return _user(entry, (), is_service=False)


def _user(entry: pwd.struct_passwd, groups: tuple[str, ...], *, is_service: bool) -> User:
    gids = set(os.getgrouplist(entry.pw_name, entry.pw_gid))
    for name in groups:
        with contextlib.suppress(KeyError):
            gids.add(grp.getgrnam(name).gr_gid)
    group = ""
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(entry.pw_gid).gr_name
    return User(
        name=entry.pw_name, uid=entry.pw_uid, gids=frozenset(gids), group=group, is_service=is_service
    )
