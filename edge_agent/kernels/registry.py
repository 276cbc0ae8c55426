"""The `@kernel` decorator: marks a plain Python function as one that is also compiled.

The function itself is returned unchanged, so under CPython it is its own plain twin. Its signature
string is the contract of all four ways to run it (native library, numba JIT, plain Python, tests).

Rules for a kernel's body, so that all ways agree to the last bit:
* arguments are pointers to fixed-width numbers, or numbers; no allocation, no exceptions, no slices;
* index a pointer argument directly (`p[i]`), never with a negative index, never out of range;
* constants are module-level ints and floats; helpers are other `@kernel` functions (they inline);
* only + - * / // % on floats, comparisons, bit operations on non-negative ints below 2**63, and the
  intrinsics of `kernels.intrinsics`; integer arithmetic must not overflow 64 bits;
* a kernel marked `system` may also make the calls of `kernels.system`, in itself and its helpers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

SCALARS = ("i64", "f64")
POINTERS = ("u8*", "u16*", "i64*", "f64*")


@dataclass(frozen=True, slots=True)
class Signature:
    """Result (`void`, `i64` or `f64`) and argument types in order."""

    result: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    name: str
    signature: Signature
    function: Callable[..., Any]
    exported: bool
    """Whether the library exports it; helpers are only inlined into others."""
    system: bool = False
    """Whether it makes system calls (`kernels.system`): such a one has no golden vectors, since what it
    returns depends on the outside, and no form under the JIT, where its plain body runs."""


KERNELS: dict[str, Kernel] = {}


def parse_signature(text: str) -> Signature:
    """`"i64(u8*, i64, f64*)"` to a `Signature`; ValueError if it is not one."""
    match = re.fullmatch(r"(void|i64|f64)\((.*)\)", text.strip())
    if match is None:
        raise ValueError(f"not a kernel signature: {text!r}")
    arguments = tuple(part.strip() for part in match[2].split(",")) if match[2].strip() else ()
    for argument in arguments:
        if argument not in SCALARS + POINTERS:
            raise ValueError(f"unknown kernel argument type {argument!r} in {text!r}")
    return Signature(match[1], arguments)


def kernel(signature: str, *, exported: bool = True, system: bool = False) -> Callable[[F], F]:
    """Register a function as a kernel; returns it unchanged."""

    def register(function: F) -> F:
        name = function.__name__
        if name in KERNELS:
            raise ValueError(f"kernel {name} is defined twice")
        KERNELS[name] = Kernel(name, parse_signature(signature), function, exported, system)
        return function

    return register
