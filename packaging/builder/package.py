"""One package: a tree with its control files, closed by dpkg-deb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from builder import changelog, completion, control, kernels, manual, program, vendored
from builder.describe import Command
from builder.sources import PACKAGING, ROOT, BuildError
from builder.tree import Tree
from edge_agent.kernels.build import elf


def make(
    architecture: str, version: str, output: Path, *, source: Path, compression: str, date_s: int
) -> Path:
    """The package of the program in `source`; returns its path in `output`."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"edge-agent_{version}_{architecture}.deb"
    with TemporaryDirectory(prefix="edge-agent-deb-") as folder:
        tree = Tree(Path(folder) / "tree")
        fill(tree, architecture, version, source, date_s)
        _add_control(tree, architecture, version, source)
        tree.settle(date_s)
        made = Path(folder) / path.name
        _close(tree, made, compression, date_s)
        made.chmod(0o644)
        # Beside a package that somebody is installing; whole or not at all.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(made.read_bytes())
        beside.replace(path)
    return path


def fill(tree: Tree, architecture: str, version: str, source: Path, date_s: int) -> None:
    """Everything that will be on the gateway."""
    program.add(tree, source, version, architecture)
    tree.add_folder(PACKAGING / "files")
    _add_documents(tree, version, date_s)
    commands = _commands(source)
    for path, page in manual.pages(commands, version, date_s):
        tree.add_gzipped(f"{path}.gz", page)
    tree.add(completion.PATH, completion.script(commands).encode())


def _add_documents(tree: Tree, version: str, date_s: int) -> None:
    folder = "usr/share/doc/edge-agent"
    rights = vendored.with_licences((PACKAGING / "debian/copyright").read_text())
    tree.add(f"{folder}/copyright", rights.encode())
    changes = changelog.debian((ROOT / "CHANGELOG.md").read_text(), version, date_s, control.maintainer())
    tree.add_gzipped(f"{folder}/changelog.gz", changes.encode())
    # The program's messages and the unit name these.
    for path in sorted((ROOT / "docs").glob("*.md")):
        tree.add(f"{folder}/{path.name}", path.read_bytes())


def _commands(source: Path) -> list[Command]:
    """What the program's parser says of itself."""
    command = (sys.executable, str(PACKAGING / "builder/describe.py"))
    # The width of this terminal has no part in it.
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "80"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the commands of the program cannot be read:\n{done.stderr}")
    commands: list[Command] = json.loads(done.stdout)
    return commands


def _add_control(tree: Tree, architecture: str, version: str, source: Path) -> None:
    needed = elf.read(kernels.library(source, architecture).read_bytes()).needed
    text = control.control(
        version=version,
        architecture=architecture,
        libraries=control.dependencies(needed),
        installed_kib=control.installed_kib(tree),
    )
    sums = control.md5sums(tree)
    tree.add("DEBIAN/control", text.encode())
    tree.add("DEBIAN/md5sums", sums.encode())
    for name in control.SCRIPTS:
        tree.add(f"DEBIAN/{name}", control.script(name, architecture), 0o755)


def _close(tree: Tree, path: Path, compression: str, date_s: int) -> None:
    # One thread: with several, xz cuts the data into blocks, and the file depends on the machine.
    command = ("dpkg-deb", "--root-owner-group", f"-Z{compression}", "--threads-max=1", "--build",
               str(tree.root), str(path))  # fmt: skip
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(date_s), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"dpkg-deb: {done.stderr}")
