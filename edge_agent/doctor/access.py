"""Who may do what with a file, by owner, group and mode of it and of the folders above. Pure.

The doctor is mostly run by root, who may everything; what counts is what the service's user may. Access
control lists are not looked at: a finding says what owner, group and mode say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.doctor.findings import command

READ, WRITE, SEARCH = 4, 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom the agent runs as."""

    name: str
    uid: int
    gids: frozenset[int] = frozenset()
    group: str = ""
    """The name of its own group."""
    is_service: bool = True
    """False where no service is installed: whoever runs the doctor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file, folder or device."""

    path: str
    uid: int
    gid: int
    mode: int
    """Permission bits."""
    owner: str = ""
    group: str = ""

    def __str__(self) -> str:
        return f"{self.owner or self.uid}:{self.group or self.gid} {self.mode:04o}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A path as the doctor could see it: the folders from the top, and the file itself last."""

    path: str
    nodes: tuple[Node, ...] = ()
    is_missing: bool = False
    hidden_by: str = ""
    """What the doctor itself may not look into."""

    @property
    def node(self) -> Node:
        return self.nodes[-1]


def allows(user: User, node: Node, bits: int) -> bool:
    """As the kernel decides: the first class that fits, and no other."""
    if user.uid == 0:
        return True
    if user.uid == node.uid:
        granted = node.mode >> 6
    elif node.gid in user.gids:
        granted = node.mode >> 3
    else:
        granted = node.mode
    return granted & bits == bits


def obstacle(user: User, nodes: Sequence[Node], bits: int) -> Node | None:
    """The folder that may not be entered, or the file that may not be used for `bits`; None: nothing stands
    in the way."""
    if not nodes:
        return None
    blocked = next((node for node in nodes[:-1] if not allows(user, node, SEARCH)), None)
    if blocked is not None:
        return blocked
    return None if allows(user, nodes[-1], bits) else nodes[-1]


def owned_by_root(path: str, group: str) -> tuple[str, str]:
    """What makes a file root's, readable to the service and to nobody else."""
    return command("sudo", "chown", f"root:{group}", path), command("sudo", "chmod", "640", path)


def is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
