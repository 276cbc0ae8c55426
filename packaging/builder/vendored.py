"""The pure Python libraries that go into the package: fetched by hash, cut down to what a gateway needs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from builder.sources import CACHE, PACKAGING, BuildError

LIST = PACKAGING / "vendor.txt"


def files() -> Iterator[tuple[PurePosixPath, bytes]]:
    """What is vendored, by its path below the folder on `sys.path`."""
    for wheel in wheels():
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                path = PurePosixPath(name)
                if path.name == "METADATA":
                    yield path, _headers(archive.read(name))
                elif not name.endswith("/") and _is_wanted(path):
                    yield path, archive.read(name)


def with_licences(text: str) -> str:
    """`text` with each `@library:file@` replaced by that licence of the library's wheel, in DEP-5's form."""
    return re.sub(
        r"^@(\w+):([\w.-]+)@$", lambda found: _licence(found[1], found[2]), text, flags=re.MULTILINE
    )


def _licence(library: str, file: str) -> str:
    [wheel] = [path for path in wheels() if path.name.startswith(f"{library}-")]
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(f".dist-info/licenses/{file}")]
        lines = archive.read(name).decode().strip().splitlines()
    return "\n".join(f" {line.rstrip()}" if line.strip() else " ." for line in lines)


def wheels() -> list[Path]:
    """The wheels of vendor.txt, exactly; fetched at the first call for that list."""
    place = CACHE / "wheels" / hashlib.sha256(LIST.read_bytes()).hexdigest()[:32]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fetched = Path(mkdtemp(dir=place.parent))
        _download(fetched)
        try:
            fetched.rename(place)
        except OSError:
            # Somebody else was first with the same files.
            if not place.exists():
                raise
    return sorted(place.glob("*.whl"))


def _download(folder: Path) -> None:
    # The wheel without compiled parts, whatever this machine could run: the package is for others.
    pure = (
        "--only-binary=:all:",
        "--platform=any",
        "--implementation=py",
        "--abi=none",
        "--python-version=3.11",
    )
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--require-hashes", "--no-deps", *pure, "-r", str(LIST), "-d", str(folder))  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise BuildError(f"{LIST} cannot be fetched:\n{done.stderr}")


def _is_wanted(path: PurePosixPath) -> bool:
    """Modules and marks of typing. Licences are in the package's copyright file, as Debian wants them."""
    if path.parts[0].endswith(".dist-info"):
        return False
    return path.suffix == ".py" and "tests" not in path.parts


def _headers(metadata: bytes) -> bytes:
    """Name, version and licence of a library, by which tools that look for known weaknesses find it."""
    return metadata.split(b"\n\n", 1)[0] + b"\n"
