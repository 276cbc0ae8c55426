"""The mode `jit`: the kernels compiled by numba for this very CPU, in this process.

For development and for comparing with the native library; a gateway has no numba. Nothing is cached
on disk: numba's cache is pickle, and a stale one would be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.kernels import prototypes
from edge_agent.kernels.build import forms, frontend
from edge_agent.kernels.registry import Kernel

# numba forgets a compiled callback that nobody holds, and its address would dangle.
_compiled: list[Any] = []


def functions(kernels: Mapping[str, Kernel]) -> dict[str, Callable[..., Any]]:
    """Compile every exported kernel; callable with the same ctypes arrays as the native library."""
    forms.teach_numba(kernels)
    return {name: _function(kernel) for name, kernel in kernels.items() if kernel.exported}


def _function(kernel: Kernel) -> Callable[..., Any]:
    if kernel.system:
        return kernel.function
    callback = frontend.callback(kernel)
    callback.compile()
    _compiled.append(callback)
    return prototypes.prototype(kernel.signature)(callback.address)
