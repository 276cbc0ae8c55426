"""The preload library `shim.c` from the test's side: built once, one `Shim` per process that is lied to.

    shim = Shim(tmp_path / "shim", library)
    Popen([...], env=os.environ | shim.env)
    shim.watch(spool); shim.slow("sync", 2.0); shim.fail("sync", errno.EIO, times=1); shim.heal()
    shim.step_wall(-3600); shim.synchronised = True

What can be done and what is counted stands in shim.c; `_Control` mirrors its structure, and the library
refuses a file of another size.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge_agent.model import NS

SOURCE = Path(__file__).with_name("shim.c")
OPERATIONS = ("write", "pwrite", "sync", "truncate")
FOR_EVER = -1
_RING = 4096
_PREFIX = 1024


class _Fault(ctypes.Structure):
    _fields_ = (
        ("pause_ns", ctypes.c_int64),
        ("code", ctypes.c_int32),
        ("left", ctypes.c_int32),
        ("begun", ctypes.c_int64),
        ("done", ctypes.c_int64),
        ("refused", ctypes.c_int64),
    )


class _Span(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_int64), ("end", ctypes.c_int64))


class _Control(ctypes.Structure):
    _fields_ = (
        ("wall_offset_ns", ctypes.c_int64),
        ("synchronised", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("faults", _Fault * len(OPERATIONS)),
        ("syncs", _Span * _RING),
        ("prefix", ctypes.c_char * _PREFIX),
    )


@dataclass(frozen=True, slots=True)
class Count:
    """Calls below the watched path."""

    begun: int
    done: int
    refused: int


def build(folder: Path) -> Path:
    """Compile the library; its path."""
    library = folder / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Shim:
    """The switches of one process (and of its children). Any thread may use them, at any time."""

    def __init__(self, control: Path, library: Path) -> None:
        control.write_bytes(bytes(ctypes.sizeof(_Control)))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._map)
        self.env = {"LD_PRELOAD": str(library), "EDGE_AGENT_SHIM": str(control)}

    # --- the wall clock ---------------------------------------------------------------------------

    @property
    def wall_offset_ns(self) -> int:
        return int(self._control.wall_offset_ns)

    @wall_offset_ns.setter
    def wall_offset_ns(self, offset: int) -> None:
        self._control.wall_offset_ns = offset

    def step_wall(self, seconds: float) -> None:
        """As an operator or NTP does: the wall clock jumps by this much from where it is."""
        self._control.wall_offset_ns += round(seconds * NS)

    def say_synchronised(self, says: bool | None) -> None:
        """What the kernel says of the wall clock; None: the truth."""
        self._control.synchronised = {None: 0, True: 1, False: 2}[says]

    # --- the disk ---------------------------------------------------------------------------------

    def watch(self, path: Path) -> None:
        """Faults and counts concern files below `path` from now on."""
        data = str(path.resolve()).encode()
        assert len(data) < _PREFIX, path
        self._control.prefix = data

    def slow(self, operation: str, seconds: float) -> None:
        self._fault(operation).pause_ns = round(seconds * NS)

    def fail(self, operation: str, code: int, *, times: int = FOR_EVER) -> None:
        """The next `times` calls return -1 and this errno."""
        fault = self._fault(operation)
        fault.code = code
        fault.left = times

    def heal(self) -> None:
        """Every operation works again."""
        for fault in self._control.faults:
            fault.left = fault.pause_ns = 0

    def forget(self) -> None:
        """Count from zero: calls of a process that was killed never return."""
        for fault in self._control.faults:
            fault.begun = fault.done = fault.refused = 0
        ctypes.memset(self._control.syncs, 0, ctypes.sizeof(self._control.syncs))

    def count(self, operation: str) -> Count:
        fault = self._fault(operation)
        return Count(fault.begun, fault.done, fault.refused)

    def syncs(self) -> list[tuple[int, int]]:
        """Begin and end (monotonic ns; end 0: it has not returned) of the last calls, oldest first."""
        spans = [(int(span.begin), int(span.end)) for span in self._control.syncs if span.begin]
        return sorted(spans)

    def _fault(self, operation: str) -> _Fault:
        fault: _Fault = self._control.faults[OPERATIONS.index(operation)]
        return fault
