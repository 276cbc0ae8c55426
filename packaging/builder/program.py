"""The program's own folder, /usr/lib/edge-agent/VERSION, and what starts it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from builder import kernels, vendored
from builder.sources import PACKAGING, with_version
from builder.tree import Tree

FOLDER = "usr/lib/edge-agent"
MARK = "zz-complete"
"""dpkg puts files in place in the archive's order, so the last name in it says that all are there."""

# What only a developer's machine can run: both import numba.
_LEFT_OUT = ("kernels/build", "kernels/jit.py", "kernels/_native")


def add(tree: Tree, source: Path, version: str, architecture: str) -> None:
    """The program in `source` as `version` for `architecture`."""
    folder = PurePosixPath(FOLDER) / version
    package = source / "edge_agent"
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if path.is_file() and "__pycache__" not in name.parts and not _is_left_out(name):
            tree.add(folder / "edge_agent" / name, _content(path, name, version))
    for path in sorted((source / "firmware_profiles").rglob("*.toml")):
        tree.add(folder / "edge_agent" / path.relative_to(source), path.read_bytes())
    library = kernels.library(source, architecture)
    tree.add(folder / "edge_agent/kernels/_native" / library.name, library.read_bytes())
    for path_in_wheel, content in vendored.files():
        tree.add(folder / "vendor" / path_in_wheel, content)
    tree.add(folder / MARK, f"{version}\n".encode())
    launcher = (PACKAGING / "debian/launcher").read_text().replace("@VERSION@", version)
    tree.add("usr/bin/edge-agent", launcher.encode(), 0o755)


def _content(path: Path, name: Path, version: str) -> bytes:
    if name == Path("__init__.py"):
        return with_version(path.read_text(), version).encode()
    return path.read_bytes()


def _is_left_out(name: Path) -> bool:
    return any(name.is_relative_to(part) for part in _LEFT_OUT)
