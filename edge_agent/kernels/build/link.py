"""An object file to a shared library, with no C library of the target at hand.

The few functions that generated code may call live in libc, libm or libgcc. Empty libraries with
these names and symbols are made on the spot, so that the result asks for the right files, without
the symbol versions of the build machine that an older gateway would refuse.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_agent.errors import KernelError
from edge_agent.kernels.artifact import host_architecture
from edge_agent.kernels.build import backend, elf, system
from edge_agent.kernels.build.targets import Target

_LIBC = ("memset", "memcpy", "memmove")
# Only functions whose result IEEE 754 fixes to the last bit: `pow` or `exp` differ between machines.
_LIBM = ("floor", "ceil", "trunc", "rint", "round", "fmod", "fma")

PAGE_BYTES = 65536
"""The largest page that an arm64 kernel may have: every segment begins on a page of its own."""
_FLAGS = ("-shared", "-s", "-z", "relro", "-z", "now", "-z", "noexecstack", "-z", "defs",
          "-z", f"max-page-size={PAGE_BYTES}",
          "--as-needed", "--build-id=none", "--hash-style=gnu")  # fmt: skip


def foreign_symbols(target: Target) -> dict[str, tuple[str, ...]]:
    """What a kernel library may leave undefined, by the library that has it."""
    libraries = {"libc.so.6": (*_LIBC, *system.LIBC, *target.clock), "libm.so.6": _LIBM}
    return libraries | ({"libgcc_s.so.1": target.helpers} if target.helpers else {})


def check_undefined(content: bytes, target: Target) -> None:
    """KernelError that names every symbol which nothing on a gateway would define."""
    allowed = {name for names in foreign_symbols(target).values() for name in names}
    # `_GLOBAL_OFFSET_TABLE_` is the linker's own.
    missing = elf.read(content).undefined - allowed - {"_GLOBAL_OFFSET_TABLE_"}
    if not missing:
        return
    raising = sorted(name.removeprefix(backend.RAISES) for name in missing if name.startswith(backend.RAISES))
    unknown = sorted(name for name in missing if not name.startswith(backend.RAISES))
    reasons = []
    if raising:
        reasons.append(f"may raise an exception: {', '.join(raising)}")
    if unknown:
        reasons.append(f"call what no gateway has, or what differs between machines: {', '.join(unknown)}")
    raise KernelError(
        f"{target.name}: kernels {'; '.join(reasons)}\n"
        "    hint: the rules for a kernel's body are in edge_agent/kernels/registry.py"
    )


def linker_for(target: Target) -> str:
    """ld.lld, which links for every target; else the system's ld, which links for this machine."""
    if found := shutil.which("ld.lld"):
        return found
    if target.name == host_architecture() and (found := shutil.which("ld")):
        return found
    raise KernelError(
        f"no linker for {target.name}\n    hint: apt install lld (or build-essential for this machine)"
    )


def link(content: bytes, name: str, target: Target, linker: str) -> bytes:
    """The shared library `name` made of one object file."""
    with TemporaryDirectory(prefix="edge-agent-kernels-") as folder:
        place = Path(folder)
        (place / "kernels.o").write_bytes(content)
        stubs = [
            _stub(place, library, names, target, linker) for library, names in foreign_symbols(target).items()
        ]
        _run(linker, target, place, name, ["kernels.o", *stubs])
        return (place / name).read_bytes()


def _stub(place: Path, library: str, names: tuple[str, ...], target: Target, linker: str) -> str:
    ir = "\n".join(f"define void @{name}() nounwind {{ ret void }}" for name in names)
    (place / f"{library}.o").write_bytes(backend.emit_ir(ir, target))
    _run(linker, target, place, library, [f"{library}.o"])
    return library


def _run(linker: str, target: Target, place: Path, name: str, inputs: list[str]) -> None:
    command = [linker, "-m", target.emulation, *_FLAGS, "-soname", name, "-o", name, *inputs]
    # Relative names in an unchanging directory layout: no path can get into the output.
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KernelError(f"{target.name}: {Path(linker).name} failed: {done.stderr.strip()}")
