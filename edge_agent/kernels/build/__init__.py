"""The ahead-of-time compiler: kernels in, one shared library per architecture out.

`forms` teaches numba what kernels are made of, `frontend` turns a kernel into LLVM IR, `backend`
optimises it for one of the `targets` and emits an object, `link` makes the shared library, `elf` reads
what came out, `library` does all of it and holds the gates; `scenario` makes the golden vectors. Only
this package and `kernels.jit` import numba and llvmlite; nothing the daemon imports imports this.
"""
