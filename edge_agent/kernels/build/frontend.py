"""Kernels to LLVM IR by numba's C callback machinery.

Kernels index pointer arguments directly, so the IR refers to no symbol of numba or Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.core.typing import signature

from edge_agent.errors import KernelError
from edge_agent.kernels.build.forms import OPTIONS, TYPES
from edge_agent.kernels.registry import Kernel


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel as numba's IR."""

    kernel: Kernel
    ir: str
    inner: str
    """The name of numba's own function in `ir`: status = inner(result*, exception**, arguments...)."""


def callback(kernel: Kernel) -> Any:
    """The kernel as a C callback that is not compiled yet."""
    wanted = kernel.signature
    typed = signature(TYPES[wanted.result], *(TYPES[name] for name in wanted.arguments))
    return CFunc(kernel.function, (typed.args, typed.return_type), locals={}, options=OPTIONS)


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
