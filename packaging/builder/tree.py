"""A folder that becomes a package: files with the modes and times they shall have, whatever the umask."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


class Tree:
    """Files below `root`; paths are those on the gateway, without the leading slash."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, path: str | PurePosixPath, content: bytes, mode: int = 0o644) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def add_gzipped(self, path: str, content: bytes) -> None:
        # mtime and name would make each archive another one.
        self.add(path, gzip.compress(content, 9, mtime=0))

    def add_folder(self, source: Path, below: str = "") -> None:
        """A copy of the files in `source`, links as links; executable is what its owner may execute."""
        for path in sorted(source.rglob("*")):
            if path.is_symlink():
                link = self.root / below / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.readlink())
            elif path.is_file() and "__pycache__" not in path.parts:
                mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                self.add(PurePosixPath(below) / path.relative_to(source), path.read_bytes(), mode)

    def files(self) -> Iterator[Path]:
        """Without links, which have no content of their own."""
        yield from sorted(path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())

    def settle(self, time_s: int) -> None:
        """Folders open to all, and one time for everything: what the machine and the moment would add."""
        for path in (self.root, *self.root.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
            os.utime(path, (time_s, time_s), follow_symlinks=False)
