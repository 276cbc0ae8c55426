"""The packages for ARM, installed in a Debian of that architecture and run against a simulated line: under
user-mode emulation, with the broker, the receiver and the other end of the line on this machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e import oracle
from tests.e2e.plant import CONFIG, SCRIPT
from tests.e2e.rig import Rig
from tests.rigs import foreign_roots
from tests.rigs.foreign import System

pytestmark = [pytest.mark.needs("foreign", "mosquitto"), pytest.mark.timeout(400)]

# Emulation takes the processor for a minute each. The one of 32 bits is where another architecture shows
# faults of ours; both run by `make foreign`.
ARCHITECTURES = (pytest.param("arm64", marks=pytest.mark.soak), "armhf")
PATHS = """
import sys
sys.path[:0] = sys.argv[1:]
sys.path.append("/usr/lib/python3/dist-packages")
"""
SELF_TEST = """
from edge_agent.kernels import load, selftest
selftest.ensure(None)
print(load().mode)
"""
AARCH64 = "import os; os.uname = lambda: os.uname_result(('', '', '', '', 'aarch64'))\n"
HOSTILE = """
from edge_agent.errors import RecordError
from edge_agent.records.pack import unpack
for head in (0xC6, 0xDB, 0xDD, 0xDF):
    try:
        unpack(bytes((head, 255, 255, 255, 255)))
    except RecordError as error:
        print(type(error).__name__)
"""


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def share(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(architecture)


@pytest.fixture(scope="module")
def package(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = [sys.executable, "packaging/build.py", "--arch", architecture, "--compression", "zstd"]
    folder = tmp_path_factory.mktemp("deb")
    done = subprocess.run([*command, "--output", str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def system(architecture: str, package: Path, share: Path) -> Iterator[System]:
    """With the package installed."""
    with System(foreign_roots.unpacked(architecture), share=share) as system:
        system.install(package)
        yield system


class ForeignRig(Rig):
    """The agent is the installed one; simulator, broker and receiver are this checkout's."""

    def __init__(self, folder: Path, system: System) -> None:
        super().__init__(folder, scripts={"line": SCRIPT}, config=CONFIG)
        self._system = system

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        if name != "agent":
            return super()._spawn(name, *arguments)
        with (self.folder / "agent.log").open("ab") as log:
            return self._system.popen(
                "edge-agent", *arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


@pytest.fixture(scope="module")
def bare(architecture: str, share: Path) -> Iterator[System]:
    """Without the package."""
    with System(foreign_roots.unpacked(architecture), share=share) as system:
        yield system


def names_itself(system: System, machine: str) -> None:
    """`uname -m` in there, as on a board."""
    path = system.path("/usr/bin/uname")
    path.write_text(f"#!/bin/sh\necho {machine}\n")
    path.chmod(0o755)


def test_dpkg_has_it_installed_compiled_and_with_its_user(system, architecture) -> None:
    shown = "${Status} ${Architecture}"
    said = system.run("dpkg-query", "-W", "-f", shown, "edge-agent").out
    assert said == f"install ok installed {architecture}"
    assert system.run("dpkg", "--verify", "edge-agent").out == ""
    assert "dialout" in system.run("id", "-nG", "edge-agent").out
    assert system.run("stat", "-c", "%U:%G %a", "/etc/edge-agent").out == "root:edge-agent 750\n"
    compiled = system.run("find", "/usr/lib/edge-agent", "-name", "*.cpython-3*.pyc").out
    assert "/cli/__pycache__/run." in compiled


def test_its_native_kernels_pass_their_self_test(system) -> None:
    assert program(system, SELF_TEST) == "native\n"


def test_a_processor_too_old_is_refused_before_anything_is_unpacked(bare, package, architecture) -> None:
    """ARMv6 is what Raspberry Pi's own system of 32 bits calls armhf as well."""
    if architecture != "armhf":
        pytest.skip("only armhf has a processor that is too old")
    names_itself(bare, "armv6l")
    refused = bare.install(package, check=False)
    assert refused.code and "ARMv6" in refused.err and "hint:" in refused.err
    assert bare.run("test", "-e", "/usr/bin/edge-agent", check=False).code
    assert "not-installed" in bare.run("dpkg-query", "-W", "-f", "${Status}", "edge-agent", check=False).out


def test_32_bits_on_a_linux_of_64_take_the_library_of_32(system, architecture) -> None:
    """As Raspberry Pi OS of 32 bits on a Pi 4 or 5: the machine calls itself aarch64."""
    if architecture != "armhf":
        pytest.skip("only armhf runs on another kernel's architecture")
    assert program(system, AARCH64 + SELF_TEST) == "native\n"


def test_records_that_declare_4_gb_are_refused_as_records(system) -> None:
    """More than a 32-bit system can index."""
    assert program(system, HOSTILE) == 4 * "RecordError\n"


def test_a_reading_agent_delivers_what_the_line_served(system, share) -> None:
    with ForeignRig(share, system) as rig:
        rig.start_agent()
        rig.wait(lambda: len(rig.of_kind("sample")) > 100, 60, "samples")
        rig.wait(lambda: rig.of_kind("summary") and rig.of_kind("alarm"), what="a window and an alarm")
        status = rig.status()
        end = rig.finish()
        print((rig.folder / "agent.log").read_text())
        verdict = oracle.samples(rig.site.devices, rig.served(), rig.objects, rig.runs)
        print(verdict.served, verdict.received, verdict.declared)
        assert (status["agent"]["kernels"], status["agent"]["problems"]) == ("native", [])
        assert end["missing"] == 0
        assert not verdict.foreign and not verdict.doubled, verdict


def program(system: System, text: str) -> str:
    """What a program in the installed package's own surroundings prints."""
    [folder] = system.run("sh", "-c", "echo /usr/lib/edge-agent/*").out.split()
    return system.run("python3", "-c", PATHS + text, folder, f"{folder}/vendor").out
