"""The ahead-of-time compiler: kernels in, one shared library per architecture out.

`frontend` turns a kernel into LLVM IR through numba, `backend` optimises it for a target and emits an
object, `link` makes the shared library, `elf` reads what came out, `library` does all of it and holds
the gates. Only this package and `kernels.jit` import numba and llvmlite; nothing the daemon imports
imports this package.
"""
