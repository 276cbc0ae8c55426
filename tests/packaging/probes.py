"""What a program of the service's user may do: run inside the sandbox by the Python that is there.

    python3 -I probes.py NAME...      makes $STATE_DIRECTORY/probes.json: NAME to "allowed" or an errno

Each probe does one thing that would be allowed, were it not for one rule of the unit. Only the standard
library: nothing of the agent is needed to find out what its sandbox forbids.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import Callable
from functools import partial
from pathlib import Path

STATE = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/edge-agent"))
WRITABLE = (str(STATE), "/run/edge-agent", "/tmp", "/var/tmp", "/dev/shm")
"""Where the service may write; that it may nowhere else is what ProtectSystem=strict is for."""
ELSEWHERE = "198.51.100.7"
"""An address that the gateway reaches and the plant has not."""
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_PER_LINUX32 = 8
_PTRACE_TRACEME = 0


def _call(name: str, *arguments: object) -> None:
    """A function of the C library; its errno as OSError."""
    if getattr(_libc, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _open(path: str, flags: int = os.O_RDONLY) -> None:
    os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK))


def _own_file(name: str, content: bytes = b"") -> str:
    path = STATE / name
    path.write_bytes(content)
    return str(path)


def _exec_from(folder: str) -> None:
    path = Path(folder, "program")
    path.write_bytes(b"#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    try:
        subprocess.run([path], check=True)
    finally:
        path.unlink()


def _map_own_file() -> None:
    with Path(_own_file("library", bytes(4096))).open("r+b") as file:
        mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def _make_setuid() -> None:
    path = Path(_own_file("setuid"))
    path.chmod(0o4755)
    assert path.stat().st_mode & stat.S_ISUID


def _chown() -> None:
    os.chown(_own_file("chown"), os.getuid(), os.getgid())


def _realtime() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _open_many() -> None:
    """Beyond the limit of the unit, and within the kernel's default for a service."""
    descriptors = []
    try:
        for _ in range(1100):
            descriptors.append(os.dup(0))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _socket(family: int, kind: int = socket.SOCK_RAW) -> None:
    socket.socket(family, kind).close()


def _pty() -> None:
    """Everything the agent does to a port that a pseudo-terminal can."""
    master, slave = os.openpty()
    _open(os.ttyname(slave), os.O_RDWR)
    fcntl.flock(slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.ioctl(slave, termios.TIOCEXCL)
    fcntl.ioctl(slave, termios.TIOCNXCL)
    termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(slave))
    os.write(slave, b"x")
    assert os.read(master, 1) == b"x"


def _durable_file() -> None:
    with Path(_own_file("durable")).open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 65536)
        file.write(b"x")
        file.flush()
        os.fdatasync(file.fileno())
        os.fsync(file.fileno())
    folder = os.open(STATE, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def _resolve() -> None:
    """Families are not restricted for the resolver's sake: without netlink it does as well."""
    assert socket.getaddrinfo("gateway-of-a-test", 1883, type=socket.SOCK_STREAM)


def _sockets() -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        _socket(family, socket.SOCK_STREAM)
    path = Path(os.environ["RUNTIME_DIRECTORY"], "probe.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    path.unlink()


def _send(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (address, 9))


def _fork() -> None:
    child = os.fork()
    if child == 0:
        # As the self-test of the kernels does.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PROBES: dict[str, Callable[[], object]] = {
    # what the agent needs
    "state folder": lambda: _own_file("own"),
    "durable file": _durable_file,
    "pseudo-terminal": _pty,
    "sockets": _sockets,
    "resolver": _resolve,
    "fork": _fork,
    "credential": lambda: _open(f"{os.environ['CREDENTIALS_DIRECTORY']}/keys_client.key"),
    # what a drop-in of docs/service.md changes
    "write /data": lambda: Path("/data/edge-agent/file").write_bytes(b"x"),
    "execute /data": partial(_exec_from, "/data/edge-agent"),
    "be heard elsewhere": lambda: _send(ELSEWHERE),
    "be heard here": lambda: _send("127.0.0.1"),
    # what it does not
    "write /usr": lambda: _open("/usr/open/file", os.O_WRONLY | os.O_CREAT),
    "write /etc": lambda: _open("/etc/open/file", os.O_WRONLY | os.O_CREAT),
    "write /srv": lambda: _open("/srv/open/file", os.O_WRONLY | os.O_CREAT),
    "write agent.toml": lambda: _open("/etc/edge-agent/agent.toml", os.O_WRONLY),
    "read /home": lambda: _open("/home/technician/notes"),
    "read /root": lambda: _open("/root/open/notes"),
    "read /tmp": lambda: _open("/tmp/of-another"),
    "read /var/tmp": lambda: _open("/var/tmp/of-another"),
    "list modules": lambda: os.listdir("/usr/lib/modules/open"),  # noqa: PTH208 (no pathlib of our own)
    "read key": lambda: _open("/etc/edge-agent/keys/client.key"),
    "write credential": lambda: _open(
        f"{os.environ['CREDENTIALS_DIRECTORY']}/keys_client.key", os.O_WRONLY | os.O_TRUNC
    ),
    "see processes": lambda: _open("/proc/1/status"),
    "see /proc/sys": lambda: _open("/proc/sys/kernel/osrelease"),
    "memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    **{f"execute {folder}": partial(_exec_from, folder) for folder in WRITABLE},
    "map own file": _map_own_file,
    "setuid": _make_setuid,
    "namespace": lambda: _call("unshare", _CLONE_NEWUSER),
    "personality": lambda: _call("personality", ctypes.c_ulong(_PER_LINUX32)),
    "netlink": lambda: _socket(socket.AF_NETLINK),
    "vsock": lambda: _socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "chown": _chown,
    "ptrace": lambda: _call("ptrace", _PTRACE_TRACEME, 0, 0, 0),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, 1),
    "affinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "realtime": _realtime,
    "open many files": _open_many,
    "capabilities": lambda: _assert_none(_status("CapBnd")),
    "new privileges": lambda: _assert_none(1 - _status("NoNewPrivs")),
}


def _status(key: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(key)).split()[1], 16)


def _assert_none(found: int) -> None:
    """Nothing there stands for a denial."""
    if found == 0:
        raise OSError(errno.EPERM, "none")


def _device(path: str) -> None:
    """A node without a device: who may open it learns that (ENXIO), who may not is refused (EPERM)."""
    try:
        _open(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ENODEV, errno.EIO):
            raise


def run(name: str) -> str:
    try:
        if name.startswith("/dev/"):
            _device(name)
        elif name.startswith("ns:"):
            return str(Path("/proc/self/ns", name.removeprefix("ns:")).readlink())
        elif name == "scheduler":
            return str(os.sched_getscheduler(0))
        elif name.startswith("ro:"):
            return "read-only" if os.statvfs(name.removeprefix("ro:")).f_flag & os.ST_RDONLY else "writable"
        else:
            PROBES[name]()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "allowed"


if __name__ == "__main__":
    (STATE / "probes.json").write_text(json.dumps({name: run(name) for name in sys.argv[1:]}))
