"""Kernels to LLVM IR by numba's C callback machinery.

Kernels index pointer arguments directly, so numba's runtime is never needed and is refused
(`_nrt=False`): the IR refers to no symbol of numba or Python. Two things are taught to numba here:

* Small integers load as 64-bit integers. numba would keep `uint16`, promote `uint16 ^ uint16` to
  `uint64`, and turn `uint64 - int64` into a float, none of which the plain Python body does.
* The intrinsics and the helpers mean the compiler's own forms when a kernel calls them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.datamodel.models import PointerModel
from numba.core.errors import NumbaError
from numba.core.imputils import impl_ret_borrowed, lower_builtin
from numba.core.typing import signature as numba_signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, overload, register_jitable, register_model

from edge_agent.errors import KernelError
from edge_agent.kernels import intrinsics
from edge_agent.kernels.registry import Kernel

_OPTIONS = {
    "nopython": True,
    "_nrt": False,
    # Division by zero gives what IEEE 754 says instead of raising: a kernel cannot raise.
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": False,
}


class SmallPointer(types.Type):  # type: ignore[misc]
    """A pointer to u8 or u16 whose elements are int64 once loaded."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"SmallPointer({dtype})")


register_model(SmallPointer)(PointerModel)

_TYPES = {
    "void": types.void,
    "i64": types.int64,
    "f64": types.float64,
    "i64*": types.CPointer(types.int64),
    "f64*": types.CPointer(types.float64),
    "u8*": SmallPointer(types.uint8),
    "u16*": SmallPointer(types.uint16),
}


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], SmallPointer) and isinstance(args[1], types.Integer):
            return numba_signature(types.int64, args[0], types.int64)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], SmallPointer) and isinstance(args[1], types.Integer):
            return numba_signature(types.none, args[0], types.int64, types.int64)
        return None


@lower_builtin(operator.getitem, SmallPointer, types.int64)
def _lower_getitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    element = builder.load(builder.gep(args[0], [args[1]]))
    return impl_ret_borrowed(context, builder, sig.return_type, builder.zext(element, ir.IntType(64)))


@lower_builtin(operator.setitem, SmallPointer, types.int64, types.int64)
def _lower_setitem(context: Any, builder: Any, sig: Any, args: Any) -> None:
    narrow = context.get_value_type(sig.args[0].dtype)
    builder.store(builder.trunc(args[2], narrow), builder.gep(args[0], [args[1]]))


# --- intrinsics -------------------------------------------------------------------------------


@intrinsic
def _bits_to_single(typing: Any, bits: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())
        return builder.fpext(single, ir.DoubleType())

    return types.float64(types.int64), lower


@intrinsic
def _bits_to_double(typing: Any, bits: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), lower


@intrinsic
def _square_root(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [ir.DoubleType()]), args)

    return types.float64(types.float64), lower


def _f32_from_bits(bits):  # type: ignore[no-untyped-def]
    return lambda bits: _bits_to_single(bits)


def _f64_from_bits(high, low):  # type: ignore[no-untyped-def]
    return lambda high, low: _bits_to_double((high << 32) | low)


def _i64_from_bits(high, low):  # type: ignore[no-untyped-def]
    return lambda high, low: (high << 32) | low


def _sqrt(x):  # type: ignore[no-untyped-def]
    return lambda x: _square_root(x)


def _is_finite(x):  # type: ignore[no-untyped-def]
    # The difference of a number with itself is 0 unless the number is NaN or infinite.
    return lambda x: x - x == 0.0


_FORMS: dict[Callable[..., Any], Callable[..., Any]] = {
    intrinsics.f32_from_bits: _f32_from_bits,
    intrinsics.f64_from_bits: _f64_from_bits,
    intrinsics.i64_from_bits: _i64_from_bits,
    intrinsics.sqrt: _sqrt,
    intrinsics.is_finite: _is_finite,
}

_taught: set[Callable[..., Any]] = set()


def teach_numba(kernels: Mapping[str, Kernel]) -> None:
    """Let a kernel call intrinsics and other kernels by their plain names."""
    for function, form in _FORMS.items():
        if function not in _taught:
            overload(function, jit_options=_OPTIONS)(form)
            _taught.add(function)
    # `exp` is plain arithmetic and compiles as it stands, like any helper.
    for function in (intrinsics.exp, *(kernel.function for kernel in kernels.values())):
        if function not in _taught:
            register_jitable(**_OPTIONS)(function)
            _taught.add(function)


# --- compiling --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel as numba's IR."""

    kernel: Kernel
    ir: str
    inner: str
    """The name of numba's own function in `ir`: status = inner(result*, exception**, arguments...)."""


def callback(kernel: Kernel) -> CFunc:
    """The kernel as a C callback that is not compiled yet."""
    signature = kernel.signature
    typed = numba_signature(_TYPES[signature.result], *(_TYPES[name] for name in signature.arguments))
    return CFunc(kernel.function, (typed.args, typed.return_type), locals={}, options=_OPTIONS)


@global_compiler_lock  # type: ignore[untyped-decorator]
def compile_ir(kernel: Kernel) -> Compiled:
    """The kernel's IR, with everything it calls.

    The command sets NUMBA_OPT=0 (`build/__main__.py`): numba would otherwise tune for the CPU it runs
    on (vector widths, inlining costs) before the IR can be taken.
    """
    try:
        result = callback(kernel)._compile_uncached()
        # Links the helpers' bodies in; before that they are only declared.
        result.library.finalize()
    except NumbaError as error:
        place = f"{kernel.function.__module__}.{kernel.name}"
        raise KernelError(f"kernel {place} does not compile: {error}") from error
    return Compiled(kernel, result.library.get_llvm_str(), result.fndesc.llvm_func_name)
