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
    fetch = [*pip, "wheel", "-q", "--wheel-dir", str(wheels), THINGSBOARD]
    subprocess.run(fetch, check=True, capture_output=True)
    install = ["install", "-q", "--no-index", "--find-links", str(wheels), "--target", str(installed)]
    subprocess.run([*pip, *install, THINGSBOARD], check=True, capture_output=True)
    download_mb = sum(path.stat().st_size for path in wheels.iterdir()) / _MB
    return Peer(download_mb=download_mb, installed_mb=occupied_mb(installed))


# --- sizes ----------------------------------------------------------------------------------------


def size_rows(debs: dict[str, Path], folder: Path) -> list[Row]:
    packages = [
        Row(
            claim=f"the package, {name}",
            value=deb.stat().st_size / _MB,
            unit="MB",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What apt adds to a minimal Debian 12, by its own reckoning."""

    packages: int
    download_mb: float
    installed_mb: float


def brought(deb: Path) -> Brought:
    with gateway.boot(roots.unpacked("bookworm")) as gw:
        gw.copy_in(deb, "/root/edge-agent.deb")
        said = gw.run("apt-get", "install", "--simulate", "/root/edge-agent.deb").out
        added = re.findall(r"^Inst (\S+) \((\S+)", said, re.MULTILINE)
        others = [f"{name}={version}" for name, version in added if name != "edge-agent"]
        shown = gw.run("apt-cache", "show", *others).out
    return Brought(
        packages=len(others),
        download_mb=total(shown, "Size") / _MB,
        installed_mb=total(shown, "Installed-Size") * 1024 / _MB,
    )


def whole_rows(deb: Path, debian: Brought, peer: Peer) -> list[Row]:
    """Everything that comes to a minimal Debian 12."""
    return [
        Row(
            claim="packages it brings from Debian 12, minimal, amd64", value=debian.packages, unit="packages"
        ),
        Row(
            claim="to fetch, the package and what it brings, amd64",
            value=deb.stat().st_size / _MB + debian.download_mb,
            unit="MB",
            peers={"ThingsBoard gateway and what it requires": peer.download_mb},
        ),
    ]


def total(shown: str, field: str) -> int:
    return sum(map(int, re.findall(rf"^{field}: (\d+)", shown, re.MULTILINE)))


# --- in use ---------------------------------------------------------------------------------------


def use_rows(deb: Path, folder: Path, debian: Brought, peer: Peer) -> list[Row]:
    with FirstRun(roots.unpacked("bookworm"), deb, folder) as run:
        time.sleep(_RESIDENT_S)
        return [on_the_disk_row(run.gw, debian, peer), *course_rows(run.course), resident_row(run.gw)]


def on_the_disk_row(gw: gateway.Gateway, debian: Brought, peer: Peer) -> Row:
    listed = gw.run("dpkg", "-L", "edge-agent").out.split()
    own = [path for path in listed if "/usr/lib/edge-agent" not in path and not is_folder(gw, path)]
    used = gw.run("du", "-scB1", "/usr/lib/edge-agent", *own).out
    return Row(
        claim="on the disk of a gateway, compiled, with what it brings, amd64",
        value=int(used.split()[-2]) / _MB + debian.installed_mb,
        unit="MB",
        peers={
            "ThingsBoard gateway and what it requires": peer.installed_mb,
            "thin-edge.io, 3 programs without mosquitto, as published in 2022": THIN_EDGE_MB,
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
        peer, deb = thingsboard(folder), debs["amd64"]
        debian = brought(deb)
        rows = [*size_rows(debs, folder), *whole_rows(deb, debian, peer)]
        return publish("package", rows + use_rows(deb, folder, debian, peer))


if __name__ == "__main__":
    sys.exit(main())
