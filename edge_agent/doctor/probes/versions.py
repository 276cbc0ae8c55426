"""Which versions of what are in use here."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import edge_agent
from edge_agent import service
from edge_agent.doctor.versions import Versions
from edge_agent.errors import KernelError, ServiceError
from edge_agent.kernels import artifact, selftest

# Name as people know it -> distribution, module.
_LIBRARIES = {
    "pyserial": ("pyserial", "serial"),
    "msgpack": ("msgpack", "msgpack"),
    "paho": ("paho-mqtt", "paho.mqtt"),
}


def kernel_error() -> str:
    """Why the native kernels are not to be used; empty when they pass their test. Call it before the first
    thread is started."""
    try:
        selftest.ensure(None)
    except KernelError as error:
        return str(error).partition("\n")[0]
    return ""


def look(kernels: str, root: Path = Path("/")) -> Versions:
    """`kernels`: what `kernel_error` said."""
    release = _release(root)
    return Versions(
        program=edge_agent.__version__,
        place=str(Path(edge_agent.__file__).parent),
        python=sys.version_info[:3],
        libraries={name: _version(*where) for name, where in _LIBRARIES.items()} | {"msgpack": _msgpack()},
        kernel_error=kernels,
        architecture="" if kernels else artifact.host_architecture(),
        system=release.get("PRETTY_NAME", ""),
        system_id=release.get("ID", ""),
        system_version=release.get("VERSION_ID", ""),
        linux=os.uname().release,
        systemd=_systemd(),
    )


def _version(distribution: str, module: str) -> str:
    """Of what is installed; of what comes within the package only the module itself tells."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(module), "__version__", ""))


def _msgpack() -> str:
    version = _version("msgpack", "msgpack")
    return version if "msgpack._cmsgpack" in sys.modules else f"{version} in plain Python"


def _release(root: Path) -> dict[str, str]:
    try:
        text = (root / "etc/os-release").read_text(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _systemd() -> str:
    if not service.is_managed():
        return ""
    try:
        return service.version()
    except ServiceError:
        return ""
