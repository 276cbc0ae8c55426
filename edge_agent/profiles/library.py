"""Where profiles are found: packaged, from $EDGE_AGENT_PROFILES, from /etc/edge-agent/profiles.

Owns turning an id into a file and keeping what was read. An id that exists in two folders is
refused: which map a device is read with must not depend on the order of folders. Files are only
read; ids have two parts of letters, digits and underscores, so no id leads out of a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from edge_agent.config import toml
from edge_agent.config.schema import nearest
from edge_agent.errors import InputError, Problem
from edge_agent.profiles.load import parse
from edge_agent.profiles.tree import Profile

LOCAL = Path("/etc/edge-agent/profiles")
_ID = re.compile(r"[a-z0-9_]+/[a-z0-9_]+", re.ASCII)


class Library:
    """The profiles in some folders."""

    def __init__(self, search: Sequence[Path]) -> None:
        self.search = tuple(search)
        self._read: dict[str, Profile] = {}
        self._own: dict[str, bytes] = {}

    def get(self, profile_id: str) -> Profile:
        """The profile; InputError when there is none, or with all its problems."""
        if profile_id not in self._read:
            path = self._find(profile_id)
            data = toml.read(path)
            self._read[profile_id] = parse(data, str(path), profile_id)
            if packaged() not in path.parents:
                self._own[profile_id] = data
        return self._read[profile_id]

    def own(self) -> dict[str, bytes]:
        """The profiles used so far that this program did not come with, by id, as they were read."""
        return dict(self._own)

    def ids(self) -> list[str]:
        """Every id there is a file for."""
        found = {f"{path.parent.name}/{path.stem}" for root in self.search for path in root.glob("*/*.toml")}
        return sorted(name for name in found if _ID.fullmatch(name))

    def has(self, profile_id: str) -> bool:
        return bool(self._candidates(profile_id))

    def nearest(self, profile_id: str) -> str:
        """A hint for an id that does not exist."""
        ids = self.ids()
        if near := nearest(profile_id, ids):
            return f"did you mean {near}?"
        if not ids:
            return "no profiles are found in " + ", ".join(str(root) for root in self.search)
        return "profiles here: " + ", ".join(ids[:20]) + (", ..." if len(ids) > 20 else "")

    def _candidates(self, profile_id: str) -> list[Path]:
        if _ID.fullmatch(profile_id) is None:
            return []
        paths = [root / f"{profile_id}.toml" for root in self.search]
        return [path for path in paths if _exists(path)]

    def _find(self, profile_id: str) -> Path:
        paths = self._candidates(profile_id)
        if not paths:
            message, hint = f"there is no profile {profile_id!r}", self.nearest(profile_id)
            raise InputError([Problem(file="profiles", line=0, key="", message=message, hint=hint)])
        if len({path.resolve() for path in paths}) > 1:
            message = f"profile {profile_id} is in {paths[0].parent.parent} too"
            hint = "give your own profile an id of its own"
            raise InputError([Problem(file=str(paths[1]), line=0, key="", message=message, hint=hint)])
        return paths[0]


def _exists(path: Path) -> bool:
    """A folder that may not be searched has no profiles for us."""
    try:
        return path.exists()
    except OSError:
        return False


def default_library() -> Library:
    """The packaged profiles and the site's own."""
    own = os.environ.get("EDGE_AGENT_PROFILES", "")
    return Library([packaged(), *(Path(part) for part in own.split(os.pathsep) if part), LOCAL])


def packaged() -> Path:
    """The folder of the profiles this program comes with: in a wheel, or in the sources."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "firmware_profiles"
    return inside if inside.is_dir() else package.parent / "firmware_profiles"
