"""What numba must be told to compile kernels: small integers, intrinsics, and helpers by their names.

* Small integers load as 64-bit integers. numba would keep `uint16`, promote `uint16 ^ uint16` to
  `uint64`, and turn `uint64 - int64` into a float, none of which the plain Python body does.
* An intrinsic means the compiler's own form when a kernel calls it, another kernel its own body.

Registrations are numba's and last as long as the process.
"""
# numba wants all parameters of a lowering function, used or not, and an intrinsic is an object of
# numba's that only compiled code can call.
# ruff: noqa: ARG001, ARG002, PLW0108

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel.models import PointerModel
from numba.core.imputils import impl_ret_borrowed, lower_builtin
from numba.core.types.misc import CPointer
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, overload, register_model

from edge_agent.kernels import intrinsics
from edge_agent.kernels.build import system
from edge_agent.kernels.registry import Kernel

OPTIONS = {
    "nopython": True,
    # Without numba's runtime: what would need it (arrays, exceptions with arguments) does not compile.
    "_nrt": False,
    # Division by zero gives what IEEE 754 says instead of raising: a kernel cannot raise.
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": False,
}


class SmallPointer(types.Type):
    """A pointer to u8 or u16 whose elements are int64 once loaded."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"SmallPointer({dtype})")


register_model(SmallPointer)(PointerModel)

TYPES = {
    "void": types.void,
    "i64": types.int64,
    "f64": types.float64,
    "i64*": CPointer(types.int64),
    "f64*": CPointer(types.float64),
    "u8*": SmallPointer(types.uint8),
    "u16*": SmallPointer(types.uint16),
}


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], SmallPointer) and isinstance(args[1], types.Integer):
            return signature(types.int64, args[0], types.int64)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], SmallPointer) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, types.int64)
        return None


@lower_builtin(operator.getitem, SmallPointer, types.int64)  # type: ignore[untyped-decorator]
def _lower_getitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    element = builder.load(builder.gep(args[0], [args[1]]))
    return impl_ret_borrowed(context, builder, sig.return_type, builder.zext(element, ir.IntType(64)))


@lower_builtin(operator.setitem, SmallPointer, types.int64, types.int64)  # type: ignore[untyped-decorator]
def _lower_setitem(context: Any, builder: Any, sig: Any, args: Any) -> None:
    narrow = context.get_value_type(sig.args[0].dtype)
    builder.store(builder.trunc(args[2], narrow), builder.gep(args[0], [args[1]]))


# --- intrinsics -------------------------------------------------------------------------------


@intrinsic  # type: ignore[untyped-decorator]
def _bits_to_single(typing: Any, bits: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())
        return builder.fpext(single, ir.DoubleType())

    return types.float64(types.int64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _bits_to_double(typing: Any, bits: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _square_root(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [ir.DoubleType()]), args)

    return types.float64(types.float64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _double_to_bits(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _leading_zeros(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # Of 0 all 64, by the second argument.
        return builder.ctlz(args[0], ir.IntType(1)(0))

    return types.int64(types.int64), lower


# Bodies that numba compiles in place of the plain ones; it knows the types, so they have none here.
_FORMS: dict[Callable[..., Any], Callable[..., Any]] = {
    intrinsics.f32_from_bits: lambda bits: _bits_to_single(bits),
    intrinsics.f64_from_bits: lambda high, low: _bits_to_double((high << 32) | low),
    intrinsics.i64_from_bits: lambda high, low: (high << 32) | low,
    intrinsics.high_bits: lambda x: (_double_to_bits(x) >> 32) & 0xFFFFFFFF,
    intrinsics.low_bits: lambda x: _double_to_bits(x) & 0xFFFFFFFF,
    intrinsics.bit_length: lambda x: 64 - _leading_zeros(x),
    intrinsics.sqrt: lambda x: _square_root(x),
    # The difference of a number with itself is 0 unless the number is NaN or infinite.
    intrinsics.is_finite: lambda x: x - x == 0.0,
    # Plain arithmetic, which compiles as it stands.
    intrinsics.exp: intrinsics.exp,
}

_taught: set[Callable[..., Any]] = set()


def teach_numba(kernels: Mapping[str, Kernel]) -> None:
    """Let a kernel call intrinsics and other kernels by their plain names."""
    system.announce()
    bodies = {kernel.function: kernel.function for kernel in kernels.values()}
    for function, form in (_FORMS | system.FORMS | bodies).items():
        if function not in _taught:
            _teach(function, form)


def _teach(function: Callable[..., Any], form: Callable[..., Any]) -> None:
    def choose(*_types: Any) -> Callable[..., Any]:
        return form

    overload(function, jit_options=OPTIONS, strict=False)(choose)
    _taught.add(function)
