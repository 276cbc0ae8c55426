"""The kernel library of an architecture, compiled once for all packages of the same sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from builder.sources import CACHE, BuildError

ARCHITECTURES = ("amd64", "arm64", "armhf")


def library(tree: Path, architecture: str) -> Path:
    """The sealed library that the sources in `tree` make for `architecture`."""
    place = CACHE / "kernels" / _fingerprint(tree)
    path = place / f"edge_agent_kernels-{architecture}.so"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        # Who comes second finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _compile(tree, place)
    return path


def _compile(tree: Path, place: Path) -> None:
    """For all architectures at once: nearly all of the work is the same for them."""
    command = [sys.executable, "-m", "edge_agent.kernels.build", "--output", str(place)]
    for architecture in ARCHITECTURES:
        command += ["--target", architecture]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the kernels do not build:\n{done.stdout}{done.stderr}")


def _fingerprint(tree: Path) -> str:
    """Of everything a library is made from: kernels, builder, compiler and linker."""
    digest = hashlib.sha256()
    for path in sorted((tree / "edge_agent/kernels").rglob("*.py")):
        digest.update(f"{path.relative_to(tree)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    for name in ("numba", "llvmlite"):
        digest.update(f"{name} {version(name)}\n".encode())
    digest.update(_linker().encode())
    return digest.hexdigest()[:32]


def _linker() -> str:
    if not shutil.which("ld.lld"):
        raise BuildError("no linker for other architectures\n    hint: apt install lld")
    return subprocess.run(("ld.lld", "--version"), capture_output=True, text=True, check=True).stdout
