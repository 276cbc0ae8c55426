"""Which versions of what are in use here."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import edge_agent
from edge_agent import service
from edge_agent.doctor.versions import Versions
from edge_agent.errors import EdgeAgentError, KernelError, ServiceError
from edge_agent.kernels import artifact, selftest

# Name as people know it -> the door that loads it, the module, its own word for its version.
_LIBRARIES = {
    "pyserial": ("edge_agent.bus.ports.port", "serial", "__version__"),
    "msgpack": ("edge_agent.records.pack", "msgpack", "version"),
    "paho-mqtt": ("edge_agent.uplink.connection.mqtt", "paho.mqtt", "__version__"),
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
    libraries, missing = _libraries()
    return Versions(
        program=edge_agent.__version__,
        place=str(Path(edge_agent.__file__).parent),
        python=sys.version_info[:3],
        libraries=libraries,
        missing=missing,
        kernel_error=kernels,
        architecture="" if kernels else artifact.host_architecture(),
        system=release.get("PRETTY_NAME", ""),
        system_id=release.get("ID", ""),
        system_version=release.get("VERSION_ID", ""),
        linux=os.uname().release,
        systemd=_systemd(),
    )


def _version(door: str, module: str, attribute: str) -> str:
    """What the loaded module says: what the package manager says may be of another copy."""
    importlib.import_module(door)
    version = getattr(sys.modules.get(module), attribute, "")
    return ".".join(map(str, version)) if isinstance(version, tuple) else str(version)


def _libraries() -> tuple[dict[str, str], dict[str, str]]:
    """Versions, and why some cannot be loaded."""
    found, missing = {}, {}
    for name, where in _LIBRARIES.items():
        try:
            found[name] = _version(*where)
        except (ImportError, EdgeAgentError) as error:
            missing[name] = str(error).partition("\n")[0]
    if "msgpack" in found and "msgpack._cmsgpack" not in sys.modules:
        found["msgpack"] += " in plain Python"
    return found, missing


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
