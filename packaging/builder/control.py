"""What dpkg reads: the control file, the sums, the maintainer scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from builder.sources import PACKAGING
from builder.tree import Tree

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")

# Debian's package of each file that a kernel library asks the dynamic linker for. 2.34 has the
# functions with 64-bit time that the library calls on 32-bit machines; Debian 12 has 2.36.
_LIBRARIES = {"libc.so.6": "libc6 (>= 2.34)", "libm.so.6": "libc6 (>= 2.34)", "libgcc_s.so.1": "libgcc-s1"}


def dependencies(needed: Sequence[str]) -> str:
    """The Depends line of a package whose kernel library needs these files."""
    return ", ".join(sorted({_LIBRARIES[name] for name in needed}))


def control(*, version: str, architecture: str, libraries: str, installed_kib: int) -> str:
    """The control file. `libraries`: what the native code depends on."""
    text = _template()
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture,
        "LIBRARIES": libraries,
        "INSTALLED_KIB": str(installed_kib),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def maintainer() -> str:
    [line] = [line for line in _template().splitlines() if line.startswith("Maintainer: ")]
    return line.removeprefix("Maintainer: ")


def _template() -> str:
    return (PACKAGING / "debian/control").read_text()


def installed_kib(tree: Tree) -> int:
    """As dpkg-gencontrol counts: files rounded up to a KiB each, everything else one."""
    paths = list(tree.root.rglob("*"))
    return sum(-(-path.stat().st_size // 1024) if path.is_file() else 1 for path in paths)


def md5sums(tree: Tree) -> str:
    """For `dpkg --verify`."""
    lines = [f"{_md5(path)}  {path.relative_to(tree.root)}\n" for path in tree.files()]
    return "".join(lines)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def script(name: str, architecture: str) -> bytes:
    text = (PACKAGING / "debian" / name).read_text()
    return text.replace("@ARCHITECTURE@", architecture).encode()
