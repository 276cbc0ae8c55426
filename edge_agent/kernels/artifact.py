"""The compiled library as a file: its name, its seal, and whether it belongs to these sources.

The file is an ordinary shared library with 40 bytes behind its end, which the dynamic linker ignores:
a magic word and the SHA-256 of everything before it. So a truncated or damaged file is refused before
the dynamic linker touches it (mapping a truncated one kills the process). Inside lies, exported as
`SYMBOL`, a string that ends with the hash of the sources. Tools that rewrite the file (strip) break
the seal; there is nothing left in it to strip.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from edge_agent.errors import KernelError

SYMBOL = "edge_agent_kernels_sources"
MARK = b"edge-agent kernels, sources "
_MAGIC = b"EAKSEAL1"
_HEX = 64

# Debian's names, by machine and pointer size: a 32-bit system may run on a 64-bit Linux.
_ARCHITECTURES = {
    ("x86_64", 64): "amd64",
    ("aarch64", 64): "arm64",
    ("aarch64", 32): "armhf",
    ("armv7l", 32): "armhf",
    ("armv8l", 32): "armhf",
    ("riscv64", 64): "riscv64",
}


def host_architecture() -> str:
    """The Debian name of the architecture this Python runs as; KernelError if none is built for it."""
    machine, bits = os.uname().machine, sys.maxsize.bit_length() + 1
    try:
        return _ARCHITECTURES[machine, bits]
    except KeyError:
        raise refusal(f"no kernel library is made for {machine} with {bits}-bit addresses") from None


def library_name(architecture: str) -> str:
    return f"edge_agent_kernels-{architecture}.so"


def default_path() -> Path:
    """Where `make kernels` and the packages put this machine's library."""
    return Path(__file__).with_name("_native") / library_name(host_architecture())


def identity(sources: str) -> bytes:
    """The string inside a library made from sources with this hash (hex)."""
    return MARK + sources.encode()


def seal(library: bytes) -> bytes:
    return library + _MAGIC + hashlib.sha256(library).digest()


def check(path: Path, data: bytes, sources: str) -> None:
    """KernelError unless `data` is an undamaged library made from sources with this hash (hex)."""
    body, magic, digest = data[:-40], data[-40:-32], data[-32:]
    if magic != _MAGIC or hashlib.sha256(body).digest() != digest:
        raise refusal(f"{path} is damaged or was rewritten after it was built")
    start = body.find(MARK)
    if start < 0 or body[start + len(MARK) :][:_HEX] != sources.encode():
        raise refusal(f"{path} was built from other kernel sources")


def refusal(message: str) -> KernelError:
    return KernelError(
        f"{message}\n    hint: `make kernels` (or reinstalling the package) brings the right one; "
        "EDGE_AGENT_KERNELS=python runs without it, slowly"
    )
