"""The kernel library of an architecture, compiled once for all packages of the same sources."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.sources import CACHE, BuildError


def library(tree: Path, architecture: str) -> Path:
    """The sealed library that the sources in `tree` make for `architecture`."""
    place = CACHE / "kernels" / _fingerprint(tree)
    path = place / f"edge_agent_kernels-{architecture}.so"
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place) as folder:
            _compile(tree, architecture, Path(folder))
            # Whole or not there, whoever else builds at the same time.
            (Path(folder) / path.name).replace(path)
    return path


def _compile(tree: Path, architecture: str, output: Path) -> None:
    command = (
        sys.executable,
        "-m",
        "edge_agent.kernels.build",
        "--target",
        architecture,
        "--output",
        str(output),
    )
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the kernels for {architecture} do not build:\n{done.stdout}{done.stderr}")


def _fingerprint(tree: Path) -> str:
    """Of everything a library is made from, the builder itself and its compilers' versions included."""
    digest = hashlib.sha256()
    for path in (*_sources(tree / "edge_agent/kernels"), tree / "pyproject.toml"):
        digest.update(f"{path.relative_to(tree)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.py"))
