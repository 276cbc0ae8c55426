"""The whole way from kernels to a sealed library, and the gates it must pass."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact
from edge_agent.kernels.build import backend, elf, forms, frontend, link
from edge_agent.kernels.build.targets import Target
from edge_agent.kernels.catalogue import source_hash
from edge_agent.kernels.registry import Kernel


def build(
    kernels: Mapping[str, Kernel], targets: Sequence[Target], output: Path, linker: str | None = None
) -> list[Path]:
    """Compile the exported `kernels` for each target into `output`; returns the files written.

    `linker` is a program to use instead of the one found for each target. KernelError when a kernel
    does not compile, may raise, needs a function outside libc and libm, or no linker is there.
    """
    forms.teach_numba(kernels)
    exported = [kernel for _, kernel in sorted(kernels.items()) if kernel.exported]
    compiled = [frontend.compile_ir(kernel) for kernel in exported]
    identity = artifact.identity(source_hash(kernels))
    written = []
    for target in targets:
        name = artifact.library_name(target.name)
        content = backend.emit_object(compiled, identity, target)
        link.check_undefined(content, target)
        library = link.link(content, name, target, linker or link.linker_for(target))
        check_library(library, {kernel.name for kernel in exported}, target)
        written.append(_write(output / name, artifact.seal(library)))
    return written


def check_library(library: bytes, exports: set[str], target: Target) -> None:
    """KernelError unless the linked file is what a gateway of this architecture can load."""
    facts = elf.read(library)
    problems = []
    if (facts.machine, facts.bits) != (target.elf_machine, target.elf_class):
        problems.append(f"is for machine {facts.machine} with {facts.bits} bits")
    if facts.flags & target.float_mask != target.float_flags:
        problems.append(f"passes floats in the wrong registers (flags {facts.flags:#x})")
    if facts.defined != exports | {artifact.SYMBOL}:
        problems.append(f"exports {sorted(facts.defined)}")
    if facts.executable_stack:
        problems.append("asks for an executable stack")
    if facts.page_bytes < link.PAGE_BYTES:
        problems.append(f"cannot be mapped with pages of more than {facts.page_bytes} bytes")
    if str(Path.cwd()).encode() in library or b".py" in library:
        problems.append("contains a path of the build machine")
    if problems:
        raise KernelError(f"the library for {target.name} {'; '.join(problems)}")


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    # A running process may have the old file mapped; replacing the name leaves its pages alone.
    temporary.replace(path)
    return path
