"""Judges the configuration: whether it loads, what it amounts to, who may read and change it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_agent.doctor import access
from edge_agent.doctor.access import Look, User
from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, command, plural
from edge_agent.errors import Problem

CHECK = "configuration"
_TOLD = 3
INIT = "$ sudo edge-agent init"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the polls of a bus ask of its line."""

    bus: str
    load: float
    max_load: float
    message: str = ""
    """Where it is too much."""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration as it was loaded, or why it was not."""

    path: str
    is_default: bool
    """Nobody named the file."""
    problems: tuple[Problem, ...] = ()
    buses: int = 0
    devices: int = 0
    points: int = 0
    alarms: int = 0
    profiles: tuple[str, ...] = ()
    loads: tuple[Load, ...] = ()


def judge(loaded: Loaded, look: Look, user: User) -> Iterator[Finding]:
    about = Subject(CHECK, loaded.path)
    if look.hidden_by:
        yield about.skipped("you may not read it, so what depends on it is not checked", AS_ROOT)
        return
    if look.is_missing:
        yield _missing(about, is_default=loaded.is_default)
        return
    if loaded.problems:
        yield _flawed(about, loaded)
    else:
        yield about.ok(_summary(loaded))
        yield from (_load(one) for one in loaded.loads)
    yield from _rights(look, user)


def _missing(about: Subject, *, is_default: bool) -> Finding:
    if is_default:
        return about.note("there is none yet: nothing is read or sent until there is one", INIT)
    return about.fault("does not exist", "check the path; the usual one is /etc/edge-agent/agent.toml")


def _flawed(about: Subject, loaded: Loaded) -> Finding:
    told = [_said(problem) for problem in loaded.problems[:_TOLD]]
    more = len(loaded.problems) - len(told)
    rest = f"; and {more} more" if more > 0 else ""
    hints = [
        f"line {one.line}: {one.hint}" if one.line else one.hint
        for one in loaded.problems[:_TOLD]
        if one.hint
    ]
    return about.fault("; ".join(told) + rest, *hints, command("sudo", "edge-agent", "check", loaded.path))


def _said(problem: Problem) -> str:
    place = f"line {problem.line}: " if problem.line else ""
    key = f"{problem.key}: " if problem.key else ""
    got = f" (got {problem.value})" if problem.value else ""
    return f"{place}{key}{problem.message}{got}"


def _summary(loaded: Loaded) -> str:
    counts = (
        plural(loaded.buses, "bus", "buses"), plural(loaded.devices, "device"),
        plural(loaded.points, "point"), plural(loaded.alarms, "alarm"),
    )  # fmt: skip
    profiles = f"; profiles {_listed(loaded.profiles)}" if loaded.profiles else ""
    return ", ".join(counts) + profiles


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")


def _load(one: Load) -> Finding:
    about = Subject(CHECK, f"plan of {one.bus}")
    if one.message:
        return about.warning(f"{one.message}: everything is read later than configured", one.advice)
    return about.ok(f"{one.load:.0%} of the line, {one.max_load:.0%} allowed")


def _rights(look: Look, user: User) -> Iterator[Finding]:
    about = Subject(CHECK, f"rights of {look.path}")
    node = look.node
    blocked = access.obstacle(user, look.nodes, access.READ)
    if blocked is not None:
        yield about.fault(f"{user.name} may not read it: {blocked.path} is {blocked}", *_set_mode(look, user))
    elif node.mode & 0o002:
        yield about.fault(f"every user of this machine may change it: {node}", *_set_mode(look, user))
    elif user.is_service and user.uid and access.allows(user, node, access.WRITE):
        yield about.warning(f"the service may change its own configuration: {node}", *_set_mode(look, user))
    elif node.mode & 0o004 and user.is_service:
        yield about.note(f"every user of this machine may read it: {node}", *_set_mode(look, user))
    else:
        yield about.ok(f"{node}, {user.name} may read it")


def _set_mode(look: Look, user: User) -> tuple[str, ...]:
    group = user.group or user.name
    blocked = access.obstacle(user, look.nodes, access.READ)
    folder = (
        (command("sudo", "chmod", "a+x", blocked.path),)
        if blocked is not None and blocked != look.node
        else ()
    )
    return (*folder, *access.owned_by_root(look.path, group))
