"""Where a file with a secret is read from: from its path, or as the service manager hands it over.

Files in /etc/edge-agent/keys are root's alone. The unit's `LoadCredential=keys:/etc/edge-agent/keys` gives
the service a copy of each, as it was when the service started, named `keys_NAME` in $CREDENTIALS_DIRECTORY
(systemd.exec(5)). A configuration names the file itself; so does every message.
"""

from __future__ import annotations

import os
from pathlib import Path

KEYS = Path("/etc/edge-agent/keys")
_PREFIX = "keys"


def source(path: str) -> Path:
    """What is to be opened for `path`: the copy where there is one, else the file itself."""
    copy = _copy(path)
    return copy if copy is not None and copy.exists() else Path(path)


def hint(path: str, key: str, error: OSError) -> str:
    """What to do where the file `path`, which the configuration gives as `key`, cannot be read."""
    if not isinstance(error, PermissionError):
        return f"check {key}"
    if _copy(path) is not None:
        return f"restart the service: files in {KEYS} are handed to it when it starts"
    return f"let the agent's user read it, or put it into {KEYS} and restart the service"


def _copy(path: str) -> Path | None:
    """Where the copy of `path` would be; None for a file elsewhere, and outside the service."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or ".." in Path(path).parts or KEYS not in Path(path).parents:
        return None
    # Of a folder in the folder: a/b is keys_a_b.
    return Path(folder, "_".join((_PREFIX, *Path(path).relative_to(KEYS).parts)))
