"""The bundle for a gateway without network: a shell script with the packages behind its end."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from builder import closure
from builder.sources import PACKAGING

RELEASES = ("bookworm", "trixie")


def make(package: Path, release: str, architecture: str, version: str, output: Path, date_s: int) -> Path:
    """The bundle of `package` for Debian `release`; returns its path in `output`."""
    with TemporaryDirectory(prefix="edge-agent-bundle-") as folder:
        place = Path(folder)
        apt = closure.Apt(place / "apt", release, architecture)
        (place / "packages").mkdir()
        fetched = apt.fetch(closure.beyond_minimal(apt, package), place / "packages")
        content = payload([package, *fetched], date_s)
    path = output / f"edge-agent_{version}_{architecture}_{release}.run"
    path.write_bytes(header(path.name, release, architecture, version, content) + content)
    path.chmod(0o755)
    return path


def payload(packages: Sequence[Path], date_s: int) -> bytes:
    """The packages and their sums in a tar archive; packages are compressed already."""
    files = {path.name: path.read_bytes() for path in packages}
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), date_s, 0o644
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def header(name: str, release: str, architecture: str, version: str, content: bytes) -> bytes:
    """The script in front of `content`."""
    text = (PACKAGING / "debian/bundle-header").read_text()
    values = {
        "NAME": name,
        "VERSION": version,
        "RELEASE": release,
        "ARCHITECTURE": architecture,
        "SUM": hashlib.sha256(content).hexdigest(),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    # The number is as long as its place, so that writing it moves nothing.
    size = len(text.encode())
    return text.replace("@OFFSET@", str(size).ljust(len("@OFFSET@"))).encode()
