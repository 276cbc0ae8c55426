"""Names of serial adapters that survive a replug: the links udev makes in /dev/serial/by-id.

/dev/ttyUSB0 is whichever adapter came first, and while a program still holds the one that was pulled,
the same adapter comes back as ttyUSB1. Only reads the folder.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/dev/serial/by-id")


def present(folder: Path | None = None) -> list[str]:
    """The links there are now; empty where there is no such adapter, or no udev."""
    try:
        return sorted(str(entry) for entry in (folder or FOLDER).iterdir())
    except OSError:
        return []


def better_name(path: str, folder: Path | None = None) -> str:
    """The link to use instead of a numbered name; empty when there is none, or `path` is no such name."""
    device = Path(path)
    try:
        if device.parent != Path("/dev") or device.is_symlink() or not device.exists():
            return ""
        return next((link for link in present(folder) if Path(link).resolve() == device), "")
    except OSError:
        return ""
