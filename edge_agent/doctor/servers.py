"""Judges what was found out about a device or device server that is reached over the network. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.doctor.findings import AS_ROOT, Finding, Subject

CHECK = "ports"
ONE_CLIENT = "some devices accept one connection only, and the agent has it"
MAY_HAVE_IT = "some devices accept one connection only, and the agent may have it"
_TRY = ("to try it:", "$ sudo systemctl stop edge-agent", AS_ROOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The result of a connection that was made and closed again."""

    bus: str
    link: str
    agent_has_it: bool = False
    agent_may_have_it: bool = False
    """One runs, and it cannot be asked."""
    is_offline: bool = False
    took_ms: float = 0.0
    error: str = ""
    hint: str = ""
    reason: str = ""
    """`PortError.reason`; `local`: a file that the doctor may not read."""


def judge(server: Server) -> Finding:
    about = Subject(CHECK, f"{server.bus}: {server.link}")
    if server.agent_has_it:
        return about.ok(f"connected by the running agent; not tried again: {ONE_CLIENT}")
    if server.agent_may_have_it:
        return about.skipped(f"an agent runs that cannot be asked; not tried: {MAY_HAVE_IT}", *_TRY)
    if server.is_offline:
        return about.skipped("--offline")
    if not server.error:
        return about.ok(f"accepts a connection, after {server.took_ms:.0f} ms; nothing was sent")
    if server.reason == "local":
        return about.skipped(server.error, server.hint)
    return about.fault(server.error.removeprefix(f"{server.link.split()[-1]}: "), server.hint)
