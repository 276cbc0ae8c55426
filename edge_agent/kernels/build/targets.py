"""What the library is compiled for: the oldest processor that each Debian architecture promises."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    name: str
    """Debian's name of the architecture."""
    triple: str
    """Normalised: LLVM reads `armv7-linux-gnueabihf` as vendor `linux` and falls back to soft float."""
    cpu: str
    features: str = ""
    abi: str = ""
    emulation: str
    """The linker's `-m`."""
    elf_machine: int
    elf_class: int
    float_mask: int = 0
    float_flags: int = 0
    """`e_flags & float_mask` when floats pass in the registers that Debian's ABI wants."""
    clock: tuple[str, str] = ("clock_gettime", "clock_nanosleep")
    """The C library's functions with a 64-bit time, to read a clock and to sleep by it."""
    helpers: tuple[str, ...] = ()
    """Functions of libgcc that the code generator may call."""


_ARM_HELPERS = ("__aeabi_idiv", "__aeabi_uidiv", "__aeabi_ldivmod", "__aeabi_uldivmod", "__aeabi_l2d",
                "__aeabi_ul2d", "__aeabi_d2lz", "__aeabi_d2ulz", "__aeabi_lmul", "__aeabi_llsl",
                "__aeabi_llsr", "__aeabi_lasr")  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target(
            name="amd64", triple="x86_64-unknown-linux-gnu", cpu="x86-64",
            emulation="elf_x86_64", elf_machine=62, elf_class=64,
        ),
        Target(
            name="arm64", triple="aarch64-unknown-linux-gnu", cpu="cortex-a53",
            emulation="aarch64linux", elf_machine=183, elf_class=64,
        ),
        Target(
            name="armhf", triple="armv7-unknown-linux-gnueabihf", cpu="generic", features="+vfp3,-d32,-neon",
            emulation="armelf_linux_eabi", elf_machine=40, elf_class=32,
            float_mask=0x400, float_flags=0x400, helpers=_ARM_HELPERS,
            clock=("__clock_gettime64", "__clock_nanosleep_time64"),
        ),
        Target(
            name="riscv64", triple="riscv64-unknown-linux-gnu", cpu="generic-rv64",
            features="+m,+a,+f,+d,+c", abi="lp64d",
            emulation="elf64lriscv", elf_machine=243, elf_class=64, float_mask=0x6, float_flags=0x4,
        ),
    )
}  # fmt: skip
