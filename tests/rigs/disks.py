"""Small disks of a test's own: ext4 on a loop device, whose power can be cut, and tmpfs. Need root.

    with Ext4(tmp_path) as disk:
        ... disk.path ...
        disk.cut()      # from here on nothing written reaches the disk, and every call fails
        ...             # end whoever has files open on it
        disk.revive()   # mounted again: what the journal has is there

`cut` is EXT4_IOC_SHUTDOWN without flushing the log, what xfstests uses for power cuts: all that was not
synced is gone, at the grain of the file system's own journal. Sectors torn by the device itself are the
business of edge_agent/spool/fake_files.py.

A child of each disk, the keeper, waits for the test's process to end, however it ends, and unmounts; the
kernel then lets go of the loop device by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_MIB = 1 << 20
_PAGE = 4096
_KEEPER = 'read -r _; umount "$1" 2>/dev/null || umount -l "$1" 2>/dev/null; rmdir "$1"'
_BUSY_S = 10.0


@functools.cache
def why_not() -> str:
    """Why no disk can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not Path("/dev/loop-control").exists() or not shutil.which("mkfs.ext4"):
        return "there are no loop devices, or no mkfs.ext4"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Ext4(Path(folder)).close()
        except OSError as error:
            return f"mounting is not allowed here: {error}"
    return ""


class Disk:
    """A mounted file system; `path` is where. Unmounted by `close`, or when this process ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mnt"
        self.path.mkdir(parents=True)
        # Its input ends with us, also after a SIGKILL.
        command = ["setsid", "sh", "-c", _KEEPER, "keeper", str(self.path)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._ballast: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._keeper.communicate(b"\n", timeout=30)

    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """As another program does: take all space but `leave` bytes, or what is left of it."""
        path = self.path / f"ballast{len(self._ballast)}"
        self._ballast.append(path)
        size = 0
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            # What cannot be had whole can be had in part.
            for step in (_MIB, _PAGE):
                with contextlib.suppress(OSError):
                    while self.free_bytes() - step >= leave:
                        os.posix_fallocate(fd, size, step)
                        size += step
        finally:
            os.close(fd)

    def clear(self) -> None:
        """Give back what `fill` took."""
        for path in self._ballast:
            path.unlink(missing_ok=True)
        self._ballast.clear()

    def remount(self, *, read_only: bool) -> None:
        """Refused by the kernel while anybody has a file open for writing."""
        _run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(self.path))

    def _mount(self, *arguments: str) -> None:
        _run("mount", *arguments, str(self.path))

    def _unmount(self) -> None:
        """Whoever was killed a moment ago may not have let go of the disk yet."""
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                _umount(self.path)
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)


class Tmpfs(Disk):
    """Room for `size` bytes and `inodes` files, folders and links."""

    def __init__(self, folder: Path, *, size: int = 8 * _MIB, inodes: int = 4096) -> None:
        super().__init__(folder)
        self._mount("-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes}", "ballast")

    def take_inodes(self) -> int:
        """Leave none; how many were taken."""
        taken = 0
        with contextlib.suppress(OSError):
            while True:
                path = self.path / f"inode{taken}"
                path.touch(exist_ok=False)
                self._ballast.append(path)
                taken += 1
        return taken


class Ext4(Disk):
    """An ext4 of its own in an image file."""

    def __init__(self, folder: Path, *, size: int = 32 * _MIB) -> None:
        super().__init__(folder)
        self._image = folder / "disk.img"
        with self._image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._attach()

    def cut(self) -> None:
        """The power goes: what was not synced is lost, nothing more can be written."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(fd)

    def break_down(self) -> None:
        """The file system meets an error and makes itself read-only under whoever uses it."""
        device = Path(os.path.realpath(self._source())).name
        (Path("/sys/fs/ext4") / device / "trigger_fs_error").write_text("tried by a test")

    def can_break_down(self) -> bool:
        return (Path("/sys/fs/ext4") / Path(self._source()).name / "trigger_fs_error").exists()

    def revive(self) -> None:
        """The power is back, or somebody repaired it: mounted again, the journal replayed."""
        self._unmount()
        self._attach()

    def check(self) -> str:
        """What e2fsck has to say of the disk; it is unmounted meanwhile."""
        self._unmount()
        found = subprocess.run(["e2fsck", "-fn", str(self._image)], capture_output=True, text=True)
        self._attach()
        return "" if found.returncode == 0 else found.stdout

    def _attach(self) -> None:
        self._mount("-o", "loop,errors=remount-ro", str(self._image))

    def _source(self) -> str:
        for line in Path("/proc/mounts").read_text().splitlines():
            source, place, *_ = line.split()
            if place == str(self.path):
                return source
        raise RuntimeError(f"{self.path} is not mounted")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _umount(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), 0):
        raise OSError(ctypes.get_errno(), "umount", str(path))
