"""All kernels of the agent, and the hash that ties a compiled library to their sources.

Owns the list of kernel modules. A library is fresh when its hash is the one computed here from the
sources that lie beside it; no time stamps, because packages and checkouts do not keep them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from edge_agent.kernels import intrinsics, system
from edge_agent.kernels.registry import KERNELS, Kernel

MODULES = (
    "decode",
    "filters",
    "alarms",
    "windows",
    "judge",
    "talk",
    "coder",
    "slots",
    "aliases",
    "times",
    "decimals",
    "sample_columns",
    "window_columns",
)

LIBRARY_FORMAT = 2
"""Raised when the same sources must no longer be served by an older builder's library."""


def all_kernels() -> dict[str, Kernel]:
    """Every kernel of the agent by name; imports their modules."""
    modules = {f"edge_agent.kernels.{name}" for name in MODULES}
    for name in MODULES:
        import_module(f"edge_agent.kernels.{name}")
    return {name: kernel for name, kernel in KERNELS.items() if kernel.function.__module__ in modules}


def source_hash(kernels: Mapping[str, Kernel]) -> str:
    """SHA-256 (hex) over what the compiled code depends on.

    These are the files that define the kernels and intrinsics, the signatures, and every number in
    the namespace of those files: a kernel's constants may be imported from elsewhere, and the compiler
    freezes them. The hash does not depend on the Python version or on where the files lie.
    """
    digest = hashlib.sha256(f"format {LIBRARY_FORMAT}\n".encode())
    names = {kernel.function.__module__ for kernel in kernels.values()}
    names |= {intrinsics.__name__, system.__name__}
    for name in sorted(names):
        module = sys.modules[name]
        digest.update(Path(module.__file__ or "").read_bytes())
        constants = {key: value for key, value in vars(module).items() if isinstance(value, int | float)}
        digest.update("".join(f"{key}={value!r}\n" for key, value in sorted(constants.items())).encode())
    for name, kernel in sorted(kernels.items()):
        signature = kernel.signature
        line = (
            f"{name} {signature.result}({', '.join(signature.arguments)}) {kernel.exported} {kernel.system}\n"
        )
        digest.update(line.encode())
    return digest.hexdigest()
