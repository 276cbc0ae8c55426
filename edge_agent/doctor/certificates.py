"""Judges certificates and keys: may the service read them, do they belong together, for how long. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_agent.doctor import access
from edge_agent.doctor.access import Look, User
from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, command, plural
from edge_agent.doctor.unit import Unit

CHECK = "certificates"
SOON_DAYS = 30
_DAY_S = 86400
_HOME, _TMP = ("/home", "/root", "/run/user"), ("/tmp", "/var/tmp")
SECRETS = frozenset({"key", "password_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    subject: str
    issuer: str
    not_before_s: float
    not_after_s: float
    names: tuple[str, ...] = ()
    """Whom it is made out to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file that the configuration names."""

    owner: str
    """`uplink`, or the bus."""
    key: str
    """`ca`, `cert`, `key`, `password_file`."""
    look: Look
    certificates: tuple[Certificate, ...] = ()
    error: str = ""
    """Why it is not what it should be."""
    unread: str = ""
    """Why nothing is known of what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Whether a certificate and its key belong together."""

    owner: str
    cert: str
    key: str
    error: str = ""
    unread: str = ""


def judge_file(file: File, user: User, unit: Unit, now_s: float) -> Iterator[Finding]:
    about = Subject(CHECK, f"{file.owner} {file.key}: {file.look.path}")
    if file.look.hidden_by:
        yield about.skipped(f"you may not look into {file.look.hidden_by}", AS_ROOT)
        return
    if file.look.is_missing:
        yield about.fault("does not exist", f"check {file.key} in the configuration")
        return
    yield _readable(about, file, user, unit)
    if file.error:
        yield about.fault(file.error, "PEM is needed: it begins with -----BEGIN")
    elif file.unread:
        yield about.skipped(file.unread)
    elif file.certificates:
        yield expiry(Subject(CHECK, f"validity of {file.owner} {file.key}"), file.certificates, now_s)


def judge_pair(pair: Pair) -> Finding:
    about = Subject(CHECK, f"{pair.owner} cert and key")
    if pair.unread:
        return about.skipped(pair.unread, AS_ROOT)
    if pair.error:
        return about.fault(pair.error, f"which key was {pair.cert} asked for with?")
    return about.ok("belong together")


def _readable(about: Subject, file: File, user: User, unit: Unit) -> Finding:
    look, node, group = file.look, file.look.node, user.group or user.name
    is_handed_over = any(access.is_below(look.path, folder) for folder in unit.credentials)
    blocked = None if is_handed_over else access.obstacle(user, look.nodes, access.READ)
    keep = access.owned_by_root(look.path, group)
    if blocked is not None and blocked.path != node.path:
        move = "keep it where the service may look, such as /etc/edge-agent"
        return about.fault(f"{user.name} may not enter {blocked.path} ({blocked})", move)
    if blocked is not None:
        return about.fault(f"{user.name} may not read it: {node}", *keep)
    if hidden := _hidden(look.path, unit):
        return about.fault(
            f"the service does not see {hidden}", "keep it in /etc/edge-agent, keys in /etc/edge-agent/keys"
        )
    if file.key in SECRETS and node.mode & 0o007:
        safe = (command("sudo", "chmod", "600", look.path),) if is_handed_over else keep
        return about.warning(f"every user of this machine may read it: {node}", *safe)
    handed = ", handed to the service by systemd" if is_handed_over else f", {user.name} may read it"
    return about.ok(f"{node}{handed}")


def _hidden(path: str, unit: Unit) -> str:
    folders = [*(_HOME if unit.hides_home else ()), *(_TMP if unit.hides_tmp else ())]
    return next((folder for folder in folders if access.is_below(path, folder)), "")


def expiry(about: Subject, certificates: Sequence[Certificate], now_s: float) -> Finding:
    """Of one certificate, or of a bundle: one that is good is enough."""
    good = [one for one in certificates if one.not_before_s <= now_s <= one.not_after_s]
    if not good:
        return _unusable(about, certificates[0], now_s)
    first = min(good, key=lambda one: one.not_after_s)
    over = len(certificates) - len(good)
    rest = f"; {plural(over, 'other')} in it not valid" if over else ""
    left = (first.not_after_s - now_s) / _DAY_S
    until = f"valid until {_date(first.not_after_s)}, {_days(left)} left"
    seen = f"{first.subject}, by {first.issuer}: {until}{rest}"
    if left < SOON_DAYS:
        return about.warning(seen, "renew it; a new file is used at the next connection, or after a restart")
    return about.ok(seen)


def _unusable(about: Subject, one: Certificate, now_s: float) -> Finding:
    clock = "or is the date of this machine wrong? see clock"
    if now_s < one.not_before_s:
        ago = _days((one.not_before_s - now_s) / _DAY_S)
        return about.fault(f"{one.subject}: not valid before {_date(one.not_before_s)}, in {ago}", clock)
    ago = _days((now_s - one.not_after_s) / _DAY_S)
    return about.fault(f"{one.subject}: expired on {_date(one.not_after_s)}, {ago} ago", "renew it", clock)


def _days(days: float) -> str:
    return plural(int(days), "day") if days >= 1 else plural(int(days * 24), "hour")


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
