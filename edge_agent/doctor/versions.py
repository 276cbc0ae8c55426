"""Judges what the program runs on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edge_agent.doctor.findings import Finding, Subject

CHECK = "versions"
LEAST_PYTHON = (3, 11)
TESTED = {"12": "bookworm", "13": "trixie"}
"""Debian's releases on which the package is tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    program: str
    place: str
    """The folder it runs from."""
    python: tuple[int, int, int]
    libraries: Mapping[str, str]
    """Name to version; empty where it is not known."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Name to why it cannot be loaded."""
    kernel_error: str = ""
    """Why the native kernels are not used."""
    architecture: str = ""
    system: str = ""
    """As /etc/os-release calls it."""
    system_id: str = ""
    system_version: str = ""
    linux: str = ""
    systemd: str = ""


def judge(versions: Versions) -> Iterator[Finding]:
    yield Subject(CHECK, "edge-agent").ok(f"{versions.program}, {versions.place}")
    yield _python(versions)
    yield _kernels(versions)
    yield _system(versions)


def _python(versions: Versions) -> Finding:
    about = Subject(CHECK, "Python")
    number = ".".join(map(str, versions.python))
    if versions.python < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return about.fault(f"{number}; {least} or later is needed", "use Debian 12 or later")
    if versions.missing:
        why = "; ".join(f"{name}: {error}" for name, error in versions.missing.items())
        return about.fault(f"{number}; {why}", *_again(versions))
    libraries = ", ".join(f"{name} {version or '?'}" for name, version in versions.libraries.items())
    return about.ok(f"{number}; {libraries}")


def _kernels(versions: Versions) -> Finding:
    about = Subject(CHECK, "kernels")
    if not versions.kernel_error:
        return about.ok(f"native for {versions.architecture}, self-test passed")
    return about.warning(f"plain Python, which is slow: {versions.kernel_error}", *_again(versions))


def _again(versions: Versions) -> tuple[str, str]:
    """By its file: of a package that is in no archive apt knows the name only, and does nothing."""
    file = f"./edge-agent_{versions.program}_$(dpkg --print-architecture).deb"
    return "where the file of the package is:", f"$ sudo apt install --reinstall {file}"


def _system(versions: Versions) -> Finding:
    about = Subject(CHECK, "system")
    systemd = f", systemd {versions.systemd}" if versions.systemd else ""
    seen = f"{versions.system or 'unknown'}, Linux {versions.linux}{systemd}"
    if versions.system_id == "debian" and versions.system_version in TESTED:
        return about.ok(seen)
    return about.note(f"{seen}: untested; tested is Debian {' and '.join(TESTED)}")
