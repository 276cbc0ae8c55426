"""Opening kernels in one of three modes that accept exactly the same calls.

Owns the choice of the mode. Does not fall back by itself: whether a daemon without its native library
should run slowly or not at all is the daemon's to decide and to tell.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact, plain, prototypes
from edge_agent.kernels.catalogue import all_kernels, source_hash
from edge_agent.kernels.registry import Kernel

MODES = ("native", "jit", "python")
MODE_VARIABLE = "EDGE_AGENT_KERNELS"


class Kernels:
    """The exported kernels as attributes; `mode` says how they run.

    Pointer arguments take ctypes arrays (`c_double * n`, `c_int64 * n`, `c_uint16 * n`, `c_uint8 * n`),
    `u8*` also `bytes` that the kernel only reads; the caller answers for their length.
    """

    def __init__(self, mode: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.mode = mode
        # Plain attributes: looking one up costs less than any wrapper around the call would.
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"no exported kernel is named {name!r}")


def load(mode: str | None = None, *, library: Path | None = None) -> Kernels:
    """The kernels in `mode` (`native`, `jit` or `python`; None: $EDGE_AGENT_KERNELS, else native).

    `library` replaces the native library's usual place. KernelError when the mode cannot be had: the
    library is missing, damaged, made from other sources or for another machine, or numba is missing.
    """
    mode = mode or os.environ.get(MODE_VARIABLE) or "native"
    kernels = all_kernels()
    if mode == "native":
        return Kernels(mode, open_library(library or artifact.default_path(), kernels))
    if mode == "jit":
        return Kernels(mode, _jit_functions(kernels))
    if mode == "python":
        return Kernels(mode, plain.functions(kernels))
    raise KernelError(
        f"kernel mode {mode!r} is unknown\n    hint: EDGE_AGENT_KERNELS is one of {', '.join(MODES)}"
    )


def open_library(path: Path, kernels: Mapping[str, Kernel]) -> dict[str, Callable[..., Any]]:
    """The exported `kernels` of the library at `path`, after its seal and sources are checked."""
    read_library(path, kernels)
    try:
        library = ctypes.CDLL(str(path))
        return {name: _function(library, kernel) for name, kernel in kernels.items() if kernel.exported}
    except (OSError, AttributeError) as error:
        raise artifact.refusal(f"the kernel library {path} cannot be loaded: {error}") from error


def read_library(path: Path, kernels: Mapping[str, Kernel]) -> bytes:
    """The bytes of the library at `path`; KernelError unless it is whole and made from `kernels`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise artifact.refusal(f"the kernel library {path} is missing") from None
    except OSError as error:
        raise artifact.refusal(f"the kernel library {path} cannot be read: {error.strerror}") from error
    artifact.check(path, content, source_hash(kernels))
    return content


def _function(library: ctypes.CDLL, kernel: Kernel) -> Callable[..., Any]:
    function = library[kernel.name]
    function.argtypes = prototypes.arguments(kernel.signature)
    function.restype = prototypes.result(kernel.signature)
    return function


def _jit_functions(kernels: Mapping[str, Kernel]) -> dict[str, Callable[..., Any]]:
    try:
        from edge_agent.kernels import jit
    except ImportError as error:
        raise KernelError(
            f"kernel mode jit needs numba: {error}\n    hint: pip install 'edge-agent[kernels]'"
        ) from error
    return jit.functions(kernels)
