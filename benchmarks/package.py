"""What a gateway has to hold and to wait for: sizes of the packages, the first run, memory of the service.

Beside it what others publish, or what their published files come to here:
* ThingsBoard IoT Gateway, from PyPI with what it requires, installed by pip for this machine. Its connectors
  install more (pymodbus, ...) when they first start.
* thin-edge.io: https://github.com/thin-edge/thin-edge.io/issues/1459, comment of 2022-09-23, the release
  builds of tedge, tedge_agent and tedge_mapper for x86_64. Its packages are on a host of its own, and no size
  of them was found published; it also needs mosquitto. It reads no device by itself.

Emulated, arm64 and armhf have no memory or time of their own: their sizes only. Needs root, the Debian mirror
and PyPI; the tests' own rigs boot the gateway.

python benchmarks/package.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _common import ROOT, Row, publish

from tests.packaging.first_run import Course, FirstRun
from tests.rigs import gateway, roots

ARCHITECTURES = ("amd64", "arm64", "armhf")
THINGSBOARD = "thingsboard-gateway==3.8.3"
THIN_EDGE_MB = (3.6 + 4.3 + 4.7) * 1.048576
"""`ls -h` shows MiB."""
_BUDGET = "<= 3"
_RESIDENT_S = 60.0
_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    download_mb: float
    installed_mb: float


def built(architecture: str, folder: Path) -> Path:
    """As it is released."""
    command = [sys.executable, "packaging/build.py", "--arch", architecture, "--output", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(done.stdout.split()[-1])


def unpacked_mb(deb: Path, folder: Path) -> float:
    target = folder / f"{deb.stem}.tree"
    subprocess.run(["dpkg-deb", "-x", str(deb), str(target)], check=True)
    return occupied_mb(target)


def occupied_mb(*paths: Path) -> float:
    """Disk blocks, as `du` counts them."""
    done = subprocess.run(["du", "-sc", "-B1", *map(str, paths)], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-2]) / _MB


def thingsboard(folder: Path) -> Peer:
    """What pip fetches, and what lies on the disk afterwards."""
    wheels, installed = folder / "wheels", folder / "installed"
    pip = [sys.executable, "-m", "pip"]
    fetch = [*pip, "download", "-q", "--dest", str(wheels), THINGSBOARD]
    subprocess.run(fetch, check=True, capture_output=True)
    install = ["install", "-q", "--no-index", "--find-links", str(wheels), "--target", str(installed)]
    subprocess.run([*pip, *install, THINGSBOARD], check=True, capture_output=True)
    download_mb = sum(path.stat().st_size for path in wheels.iterdir()) / _MB
    return Peer(download_mb=download_mb, installed_mb=occupied_mb(installed))


# --- sizes ----------------------------------------------------------------------------------------


def size_rows(debs: dict[str, Path], folder: Path, peer: Peer) -> list[Row]:
    packages = [
        Row(
            claim=f"the package, {name}",
            value=deb.stat().st_size / _MB,
            unit="MB",
            peers={"ThingsBoard gateway and what it requires": peer.download_mb} if name == "amd64" else {},
            budget=_BUDGET,
        )
        for name, deb in debs.items()
    ]
    files = [
        Row(
            claim=f"its files on the disk, not yet compiled, {name}",
            value=unpacked_mb(deb, folder),
            unit="MB",
        )
        for name, deb in debs.items()
    ]
    return packages + files


def dependency_rows(gw: gateway.Gateway, deb: Path) -> list[Row]:
    """What apt would add to a minimal Debian 12, by its own reckoning."""
    gw.copy_in(deb, "/root/edge-agent.deb")
    said = gw.run("apt-get", "install", "--no-download", "--print-uris", "-y", "/root/edge-agent.deb").out
    others = [line for line in said.splitlines() if line.startswith("'") and "edge-agent" not in line]
    asked = gw.run("apt-cache", "show", *sorted(name_of(line) for line in others)).out
    installed_kib = sum(map(int, re.findall(r"^Installed-Size: (\d+)", asked, re.MULTILINE)))
    fetched = sum(int(line.split()[2]) for line in others)
    where = "on a minimal Debian 12, amd64"
    return [
        Row(claim=f"packages it brings with it, {where}", value=len(others), unit="packages"),
        Row(claim=f"the same, to fetch, {where}", value=fetched / _MB, unit="MB"),
        Row(claim=f"the same, installed, {where}", value=installed_kib * 1024 / _MB, unit="MB"),
    ]


def name_of(line: str) -> str:
    """'URI' name_version_architecture.deb size hash"""
    return line.split()[1].split("_")[0]


# --- in use ---------------------------------------------------------------------------------------


def use_rows(deb: Path, folder: Path, peer: Peer) -> list[Row]:
    root = roots.unpacked("bookworm")
    with gateway.boot(root) as gw:
        rows = dependency_rows(gw, deb)
    with FirstRun(root, deb, folder) as run:
        time.sleep(_RESIDENT_S)
        rows += [on_the_disk_row(run.gw, peer), *course_rows(run.course), resident_row(run.gw)]
    return rows


def on_the_disk_row(gw: gateway.Gateway, peer: Peer) -> Row:
    """Without the packages of Debian that it brings."""
    listed = gw.run("dpkg", "-L", "edge-agent").out.split()
    own = [path for path in listed if "/usr/lib/edge-agent" not in path and not is_folder(gw, path)]
    used = gw.run("du", "-scB1", "/usr/lib/edge-agent", *own).out
    return Row(
        claim="on the disk of a gateway, compiled, amd64",
        value=int(used.split()[-2]) / _MB,
        unit="MB",
        peers={
            "ThingsBoard gateway and what it requires": peer.installed_mb,
            "thin-edge.io, 3 programs, as published in 2022": THIN_EDGE_MB,
        },
    )


def is_folder(gw: gateway.Gateway, path: str) -> bool:
    return gw.enter("test", "-d", path, check=False).code == 0


def course_rows(course: Course) -> list[Row]:
    where = "one run, packages fetched before"
    return [
        Row(claim=f"`apt install` to its end, {where}", value=course.installed_s, unit="s"),
        Row(claim="`apt install` to the first record at the receiver", value=course.first_record_s, unit="s"),
        Row(claim="`apt install` to the first value at the receiver", value=course.first_value_s, unit="s"),
    ]


def resident_row(gw: gateway.Gateway) -> Row:
    status = gw.read(f"/proc/{gw.main_pid('edge-agent')}/status")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, "the service has ended"
    claim = "resident memory of the service after a minute, an energy meter of 40 points, amd64"
    return Row(claim=claim, value=int(found[1]) / 1024, unit="MiB")


def main() -> int:
    with TemporaryDirectory() as name:
        folder = Path(name)
        debs = {architecture: built(architecture, folder / "debs") for architecture in ARCHITECTURES}
        peer = thingsboard(folder)
        rows = size_rows(debs, folder, peer)
        return publish("package", rows + use_rows(debs["amd64"], folder, peer))


if __name__ == "__main__":
    sys.exit(main())
