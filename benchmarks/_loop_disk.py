"""A real ext4 on a loop device of its own, which counts what reaches it. Takes root."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512
_WRITTEN, _FLUSHES = 6, 15
"""Places in /sys/block/NAME/stat."""


@dataclass(frozen=True, slots=True)
class LoopDisk:
    path: Path
    """Where it is mounted."""
    device: str

    def written(self) -> tuple[int, int]:
        """(bytes, flushes) that reached the device so far."""
        stat = Path(f"/sys/block/{self.device}/stat").read_text().split()
        return int(stat[_WRITTEN]) * _SECTOR, int(stat[_FLUSHES])

    def forget(self) -> None:
        """Nothing of it is in the system's cache any more, and of no other disk anything is lost there."""
        _run("umount", str(self.path))
        _run("mount", "-o", "loop", str(self.path.parent / "image"), str(self.path))

    def settle(self) -> None:
        """Nothing waits to be written any more."""
        _run("sync", "-f", str(self.path))


@contextmanager
def loop_disk(size: str, block: int, options: str = "relatime") -> Iterator[LoopDisk]:
    """Mounted as Debian would: journal, ordered data. The image lies in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        image, mount = Path(folder) / "image", Path(folder) / "mount"
        mount.mkdir()
        _run("truncate", "-s", size, str(image))
        _run("mkfs.ext4", "-q", "-b", str(block), "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        _run("mount", "-o", f"loop,{options}", str(image), str(mount))
        try:
            device = _run("losetup", "-n", "-O", "NAME", "-j", str(image)).strip()
            yield LoopDisk(mount, device.removeprefix("/dev/"))
        finally:
            _run("umount", "-l", str(mount))


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
