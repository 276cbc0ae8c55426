"""The kernel library of an architecture, compiled once for all packages of the same sources."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.sources import CACHE, BuildError

ARCHITECTURES = ("amd64", "arm64", "armhf")


def library(tree: Path, architecture: str) -> Path:
    """The sealed library that the sources in `tree` make for `architecture`."""
    place = CACHE / "kernels" / _fingerprint(tree)
    path = place / _name(architecture)
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place) as folder:
            _compile(tree, Path(folder))
            # Whole or not there, whoever else builds at the same time.
            for each in ARCHITECTURES:
                (Path(folder) / _name(each)).replace(place / _name(each))
    return path


def _name(architecture: str) -> str:
    return f"edge_agent_kernels-{architecture}.so"


def _compile(tree: Path, output: Path) -> None:
    """For all architectures at once: nearly all of the work is the same for them."""
    command = [sys.executable, "-m", "edge_agent.kernels.build", "--output", str(output)]
    for architecture in ARCHITECTURES:
        command += ["--target", architecture]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the kernels do not build:\n{done.stdout}{done.stderr}")


def _fingerprint(tree: Path) -> str:
    """Of everything a library is made from, the builder itself and its compilers' versions included."""
    digest = hashlib.sha256()
    for path in (*sorted((tree / "edge_agent/kernels").rglob("*.py")), tree / "pyproject.toml"):
        digest.update(f"{path.relative_to(tree)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
