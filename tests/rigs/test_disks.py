"""That the disks do what they say: a power cut loses what was not synced and nothing else, a full disk is
full, and nothing of a disk is left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rigs import disks
from tests.rigs.disks import Ext4, Tmpfs

pytestmark = pytest.mark.skipif(bool(disks.why_not()), reason=disks.why_not())


def mounted(path: Path) -> bool:
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").read_text().splitlines())


def test_a_power_cut_loses_what_was_not_synced_and_keeps_what_was(tmp_path) -> None:
    with Ext4(tmp_path) as disk:
        for name, synced in (("synced", True), ("written", False)):
            fd = os.open(disk.path / name, os.O_WRONLY | os.O_CREAT)
            os.write(fd, b"first")
            if synced:
                os.fsync(fd)
            os.write(fd, b" second")
            if not synced:
                open_fd = fd
            else:
                os.close(fd)
        disk.cut()
        with pytest.raises(OSError) as error:
            os.fsync(open_fd)
        assert error.value.errno == errno.EIO
        os.close(open_fd)
        disk.revive()
        assert (disk.path / "synced").read_bytes() == b"first"
        assert not (disk.path / "written").exists()
        # The journal brought it back into order, and it can be used.
        assert disk.check() == ""
        (disk.path / "after").write_text("x")


def test_a_disk_that_met_an_error_is_read_only_until_it_is_repaired(tmp_path) -> None:
    with Ext4(tmp_path) as disk:
        if not disk.can_break_down():
            pytest.skip("this kernel's ext4 has no trigger_fs_error")
        with (disk.path / "file").open("wb", buffering=0) as file:
            file.write(b"before")
            disk.break_down()
            with pytest.raises(OSError) as error:
                file.write(b"after")
            assert error.value.errno == errno.EROFS
        disk.revive()
        (disk.path / "file").write_text("again")


def test_a_read_only_disk_can_be_made_writable_again(tmp_path) -> None:
    with Ext4(tmp_path) as disk:
        disk.remount(read_only=True)
        with pytest.raises(OSError) as error:
            (disk.path / "file").touch()
        assert error.value.errno == errno.EROFS
        disk.remount(read_only=False)
        (disk.path / "file").touch()


@pytest.mark.parametrize("kind", [Ext4, Tmpfs])
@pytest.mark.parametrize("leave", [0, 3 << 20])
def test_a_filled_disk_has_no_more_than_was_left(tmp_path, kind, leave: int) -> None:
    with kind(tmp_path) as disk:
        before = disk.free_bytes()
        disk.fill(leave=leave)
        assert leave <= disk.free_bytes() < leave + 8192
        if not leave:
            with pytest.raises(OSError) as error:
                (disk.path / "file").write_bytes(bytes(8192))
            assert error.value.errno == errno.ENOSPC
            (disk.path / "file").unlink()
        disk.clear()
        assert disk.free_bytes() > before - 8192


def test_a_disk_without_inodes_takes_no_file(tmp_path) -> None:
    with Tmpfs(tmp_path, inodes=64) as disk:
        assert disk.take_inodes() > 50
        with pytest.raises(OSError) as error:
            (disk.path / "file").touch()
        assert error.value.errno == errno.ENOSPC
        assert disk.free_bytes() > 1 << 20
        disk.clear()
        (disk.path / "file").touch()


def test_a_closed_disk_is_gone(tmp_path) -> None:
    with Ext4(tmp_path) as disk:
        assert mounted(disk.path)
    assert not mounted(disk.path)
    assert not disk.path.exists()
    assert str(tmp_path) not in subprocess.run(["losetup", "-a"], capture_output=True, text=True).stdout


def test_a_disk_goes_with_a_process_that_is_killed(tmp_path) -> None:
    """Whatever ends a run of tests, no mount and no loop device is left of it."""
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.rigs.disks import Ext4\n"
        "disk = Ext4(Path(sys.argv[1])); open(disk.path / 'file', 'w').write('x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while (tmp_path / "mnt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not mounted(tmp_path / "mnt") and not (tmp_path / "mnt").exists()
