"""The bundle's script: what it refuses before it touches anything, and what it hands to apt."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder import bundle

Run = Callable[..., subprocess.CompletedProcess[str]]


def deb(folder: Path, name: str, version: str) -> Path:
    tree = folder / f"tree-{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "all",
        "Maintainer": "x",
        "Description": "x",
    }
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    path = folder / f"{name}_{version}.deb"
    subprocess.run(("dpkg-deb", "-b", tree, path), check=True, capture_output=True)
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A bundle of three small packages for arm64 with Debian 12."""
    packages = [
        deb(tmp_path, "edge-agent", "1.0"),
        deb(tmp_path, "liba", "2.0"),
        deb(tmp_path, "libb", "2.0"),
    ]
    content = bundle.payload(packages, 1_700_000_000)
    header = bundle.header("edge-agent.run", "bookworm", "arm64", "1.0", content)
    # As long as the real name, so that nothing moves.
    path = tmp_path / "edge-agent.run"
    path.write_bytes(header.replace(b"/etc/os-release", b"./fk/os-release") + content)
    return path


@pytest.fixture
def run(script: Path) -> Run:
    """Run the bundle on a pretended system; `fk/asked` holds what apt-get was called with."""
    fake = script.parent / "fk"
    fake.mkdir()

    def command(name: str, text: str) -> None:
        (fake / name).write_text(f"#!/bin/sh\n{text}\n")
        (fake / name).chmod(0o755)

    def run(
        *arguments: str,
        architecture: str = "arm64",
        system: str = "ID=debian\nVERSION_CODENAME=bookworm",
        user: int = 0,
        has: str = "",
    ) -> subprocess.CompletedProcess[str]:
        (fake / "os-release").write_text(system)
        compare = 'if [ "$1" = --compare-versions ]; then exec /usr/bin/dpkg "$@"; fi'
        command("dpkg", f"{compare}\necho {architecture}")
        command("dpkg-query", f'case "$3" in {has} *) exit 1 ;; esac')
        command("id", f"echo {user}")
        command("apt-get", 'printf "%s\\n" "$@" >"$ASKED"')
        environment = {"PATH": f"{fake}:{os.environ['PATH']}", "ASKED": str(fake / "asked")}
        return subprocess.run(
            ("sh", script, *arguments), cwd=script.parent, env=environment, capture_output=True, text=True
        )

    return run


def asked(script: Path) -> list[str]:
    path = script.parent / "fk/asked"
    return path.read_text().splitlines() if path.exists() else []


def wanted(script: Path) -> list[str]:
    return [word for word in asked(script) if word.endswith(".deb")]


def test_on_the_right_system_all_packages_go_to_apt_in_one_call(script: Path, run: Run) -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert wanted(script) == ["./edge-agent_1.0.deb", "./liba_2.0.deb", "./libb_2.0.deb"]
    assert {"--yes", "--no-remove", "--no-install-recommends", "Dir::Etc::SourceList=/dev/null"} <= set(
        asked(script)
    )
    assert "Next: edge-agent init" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "amd64"}, "this is for arm64, the system is amd64"),
        ({"system": "ID=debian\nVERSION_CODENAME=trixie"},
         "this is for Debian bookworm, the system is debian trixie"),
        ({"system": "ID=raspbian\nVERSION_CODENAME=bookworm"}, "the system is raspbian bookworm"),
        ({"user": 1000}, "only root may install packages"),
    ],
)  # fmt: skip
def test_on_a_wrong_system_nothing_is_asked_of_apt(options, message: str, script: Path, run: Run) -> None:
    done = run(**options)
    assert done.returncode == 1
    assert message in done.stderr and "hint:" in done.stderr
    assert not asked(script)


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer"])
def test_a_damaged_file_is_refused_whole(damage: str, script: Path, run: Run) -> None:
    content = bytearray(script.read_bytes())
    if damage == "cut":
        del content[-1000:]
    elif damage == "longer":
        content += b"\0"
    else:
        content[-3000] ^= 1
    script.write_bytes(content)
    done = run()
    assert done.returncode == 1 and "damaged or incomplete" in done.stderr
    assert not asked(script)


@pytest.mark.parametrize(
    ("has", "left"),
    [
        ("1.9", ["./edge-agent_1.0.deb", "./liba_2.0.deb", "./libb_2.0.deb"]),
        ("2.0", ["./edge-agent_1.0.deb", "./libb_2.0.deb"]),
        ("2.0+deb12u1", ["./edge-agent_1.0.deb", "./libb_2.0.deb"]),
        ("2.0~rc1", ["./edge-agent_1.0.deb", "./liba_2.0.deb", "./libb_2.0.deb"]),
    ],
)
def test_what_the_system_has_newer_stays(has: str, left: list[str], script: Path, run: Run) -> None:
    assert run(has=f'liba:all) echo "installed {has}" ;;').returncode == 0
    assert wanted(script) == left


def test_a_library_that_is_there_for_two_architectures_is_not_made_older(script: Path, run: Run) -> None:
    """dpkg-query says both where only the name is asked for, and apt may downgrade what it is handed."""
    both = 'liba) printf "installed 3.0installed 3.0" ;; liba:all) printf "installed 3.0" ;;'
    done = run(has=both)
    assert (done.returncode, done.stderr) == (0, "")
    assert "./liba_2.0.deb" not in wanted(script)


def test_a_package_that_was_removed_is_not_taken_for_installed(script: Path, run: Run) -> None:
    assert run(has='liba:all) echo "config-files 3.0" ;;').returncode == 0
    assert "./liba_2.0.deb" in wanted(script)


def test_the_agent_itself_is_installed_even_over_a_newer_one(script: Path, run: Run) -> None:
    """Whoever carries a bundle to a gateway wants that version."""
    assert run(has='edge-agent:all) echo "installed 1.1" ;;').returncode == 0
    assert "./edge-agent_1.0.deb" in wanted(script)


def test_extract_only_unpacks(script: Path, run: Run, tmp_path: Path) -> None:
    assert run("--extract", "out", architecture="amd64", user=1000).returncode == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"SHA256SUMS", "edge-agent_1.0.deb", "liba_2.0.deb", "libb_2.0.deb"}
    assert (
        subprocess.run(("sha256sum", "--check", "--quiet", "SHA256SUMS"), cwd=tmp_path / "out").returncode
        == 0
    )
    assert not asked(script)


def test_the_same_packages_make_the_same_bundle(tmp_path: Path) -> None:
    packages = [deb(tmp_path, "liba", "2.0"), deb(tmp_path, "libb", "2.0")]
    first, second = bundle.payload(packages, 5), bundle.payload(packages[::-1], 5)
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert [(member.mtime, member.uid, member.mode) for member in tar] == [(5, 0, 0o644)] * 3
