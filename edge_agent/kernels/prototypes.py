"""Kernel signatures in the terms of ctypes, the way the daemon calls compiled kernels.

Every call through these releases the GIL. `f64*`, `i64*` and `u16*` check the element type of the
array (27 ns an argument, cheap beside the corruption that a mixed-up array would be); `u8*` takes
`bytes` too, so that a reply goes to its decoder uncopied, and therefore cannot check.
"""

from __future__ import annotations

import ctypes
from typing import Any

from edge_agent.kernels.registry import Signature

_RESULTS: dict[str, Any] = {"void": None, "i64": ctypes.c_int64, "f64": ctypes.c_double}

_ARGUMENTS: dict[str, Any] = {
    "i64": ctypes.c_int64,
    "f64": ctypes.c_double,
    "u8*": ctypes.c_void_p,
    "u16*": ctypes.POINTER(ctypes.c_uint16),
    "i64*": ctypes.POINTER(ctypes.c_int64),
    "f64*": ctypes.POINTER(ctypes.c_double),
}


def result(signature: Signature) -> Any:
    return _RESULTS[signature.result]


def arguments(signature: Signature) -> list[Any]:
    return [_ARGUMENTS[argument] for argument in signature.arguments]


def prototype(signature: Signature) -> Any:
    """The C function type; call it with an address to get something callable."""
    return ctypes.CFUNCTYPE(result(signature), *arguments(signature))
