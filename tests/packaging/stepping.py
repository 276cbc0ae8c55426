"""A program stopped before each of its system calls that changes a name, by ptrace(2).

What the file system holds at such a stop is what it would hold had the program been killed there: between two
of these calls no name changes. Processes that the program starts run freely.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence

# Numbers of rename, mkdir, rmdir, link, unlink, symlink and their *at forms; Linux, by os.uname().machine.
CALLS = {
    "x86_64": frozenset((82, 83, 84, 86, 87, 88, 258, 263, 264, 265, 266, 316)),
    "aarch64": frozenset((34, 35, 36, 37, 38, 276)),
}

_TRACEME, _KILL, _SYSCALL, _SETOPTIONS, _SYSCALL_INFO = 0, 8, 24, 0x4200, 0x420E
_SYSGOOD, _EXITKILL = 1, 1 << 20
_AT_CALL = signal.SIGTRAP | 0x80
_ENTRY = 1
# struct ptrace_syscall_info: op, architecture, two addresses, then the number of the call.
_INFO = struct.Struct("=B3xIQQQ")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Stepped:
    """Context manager: `stops()` yields a count at each stop; what still runs at the end is killed."""

    def __init__(self, command: Sequence[str]) -> None:
        self._calls = CALLS[os.uname().machine]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: _ptrace(_TRACEME, 0),
        )
        self.status: int | None = None
        """The exit status once the program has ended by itself."""

    def __enter__(self) -> Stepped:
        os.waitpid(self._process.pid, 0)
        _ptrace(_SETOPTIONS, self._process.pid, _SYSGOOD | _EXITKILL)
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """As a power cut or an impatient hand would, where it stands."""
        if self.status is None:
            self._process.kill()
            os.waitpid(self._process.pid, 0)
            self.status = -signal.SIGKILL
        self._process.returncode = self.status

    def stops(self) -> Iterator[int]:
        """The number of the stop, from 0, each before a call that changes a name."""
        count, deliver = 0, 0
        while True:
            _ptrace(_SYSCALL, self._process.pid, deliver)
            _, status = os.waitpid(self._process.pid, 0)
            if not os.WIFSTOPPED(status):
                self.status = os.waitstatus_to_exitcode(status)
                return
            deliver = 0
            if os.WSTOPSIG(status) != _AT_CALL:
                deliver = os.WSTOPSIG(status)
            elif self._entered() in self._calls:
                yield count
                count += 1
                if self.status is not None:
                    return

    def _entered(self) -> int:
        """The number of the call that is about to be made; -1 if one has returned."""
        buffer = ctypes.create_string_buffer(88)
        _ptrace(_SYSCALL_INFO, self._process.pid, ctypes.addressof(buffer), size=len(buffer))
        operation, _, _, _, number = _INFO.unpack_from(buffer)
        return number if operation == _ENTRY else -1


def _ptrace(request: int, pid: int, data: int = 0, size: int = 0) -> None:
    if _libc.ptrace(request, pid, size, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
