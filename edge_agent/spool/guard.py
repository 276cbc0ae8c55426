"""That the spool's directory is ours and stays it: the lock, and files removed while they are in use.

A descriptor goes on working when its file is unlinked; what is written to it is gone at close. So once
per commit interval the names of the lock and of the active segments are compared with the descriptors
(one stat each). What vanished is treated like a disk that failed: what memory holds goes to new files,
what only the vanished ones held is declared lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from edge_agent.errors import SpoolError
from edge_agent.spool.files import Files
from edge_agent.spool.keeper import Keeper
from edge_agent.spool.stream import StreamLog
from edge_agent.spool.trouble import Trouble


class Guard:
    """One per spool; the writer thread's."""

    def __init__(
        self, path: Path, files: Files, keeper: Keeper, logs: Mapping[str, StreamLog], trouble: Trouble
    ) -> None:
        """Take the lock; SpoolError if another process has it or the path is no directory."""
        self._root = path
        self._path = path / "lock"
        self._files = files
        self._keeper = keeper
        self._logs = logs
        self._trouble = trouble
        self._fd: int | None = None
        self._again = False
        """Whoever removes files may not have finished when we looked: look at all once more."""
        try:
            mine = self._take()
        except (NotADirectoryError, FileExistsError):
            raise SpoolError(f"spool {path}: not a directory\n    hint: see [spool] path") from None
        except OSError as error:
            # Read-only or forbidden: nobody can write here, so there is nothing to protect.
            trouble.failed("lock", error)
            self._again = True
            return
        if not mine:
            raise SpoolError(
                f"spool {path}: in use by process {self._owner() or 'unknown'}\n"
                "    hint: another edge-agent runs with this spool; stop it or give this one its own path"
            )

    def look(self) -> None:
        """Notice what was removed, and go on without it."""
        if self._keeper.down:
            # Nothing is written. Segments that are gone are noticed when the disk is back.
            self._again = True
            return
        try:
            removed = not self._in_place()
        except OSError as error:
            self._trouble.failed("look", error)
            return
        if not (removed or self._again):
            return
        self._again = removed
        if self._hold() and removed:
            self._trouble.failed("look", OSError(errno.ENOENT, "files of the spool were removed"))
        if removed or not self._again:
            self._keeper.begin_again()

    def release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                self._files.close(fd)

    def _in_place(self) -> bool:
        if self._fd is not None and not self._files.is_at(self._fd, self._path):
            return False
        return self._keeper.in_place() and all(log.in_place() for log in self._logs.values())

    def _hold(self) -> bool:
        """Have the lock, or say why not. False if another agent has it: then the directory is that
        one's, which numbers its records behind what it found there."""
        try:
            if self._take():
                return True
        except OSError as error:
            self._again = True
            self._trouble.failed("lock", error)
            return True
        used = f"another edge-agent uses it, process {self._owner() or 'unknown'}"
        self._trouble.failed("lock", OSError(errno.EBUSY, used))
        self._keeper.stay_in_memory()
        return False

    def _take(self) -> bool:
        """Hold the lock that stands under the name; false if another process does."""
        if self._fd is not None and self._files.is_at(self._fd, self._path):
            return True
        self._files.make_dirs(self._root)
        fd = self._files.lock(self._path, str(os.getpid()))
        self.release()
        self._fd = fd
        return fd is not None

    def _owner(self) -> str:
        with contextlib.suppress(OSError):
            return self._files.read(self._path).decode(errors="replace").strip()
        return ""
