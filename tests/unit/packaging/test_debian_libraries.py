"""The program does what it does with the libraries of Debian, which are older than those of a checkout.

Debian 12 and 13 have msgpack 1.0.3 and pyserial 3.5. Their compiled parts are for Debian's Python of the same
minor version as ours; the tests that use a library are run again with Debian's in front of our own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEBIAN = Path("/usr/lib/python3/dist-packages")

# Everything that decodes or encodes is here; the rest of the folder computes columns.
RECORDS = tuple(
    f"tests/unit/records/test_{name}.py"
    for name in (
        "pack",
        "record_format",
        "checkpoint",
        "dictionary",
        "public",
        "independent_damage",
        "writer",
    )
)


def debians(name: str, version: str, folder: Path) -> dict[str, str]:
    """An environment in which Debian's `name`, and nothing else of Debian's, is imported instead of ours."""
    (folder / name).symlink_to(DEBIAN / name)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    code = f"import {name}; print({name}.__file__, {name}.{version})"
    done = subprocess.run((sys.executable, "-c", code), env=environment, capture_output=True, text=True)
    assert done.stdout.startswith(str(folder)), done.stderr
    return environment


def passes(environment: dict[str, str], *tests: str) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.needs("python3-msgpack")
@pytest.mark.timeout(300)
def test_records_are_packed_and_unpacked_by_debians_msgpack(tmp_path: Path) -> None:
    suffixes = {path.name.split(".")[1] for path in (DEBIAN / "msgpack").glob("_cmsgpack.*.so")}
    if not any(suffix.startswith(sys.implementation.cache_tag) for suffix in suffixes):
        pytest.skip(f"Debian's msgpack is compiled for another Python than this: {suffixes}")
    environment = debians("msgpack", "version", tmp_path)
    code = "import msgpack._cmsgpack"
    assert subprocess.run((sys.executable, "-c", code), env=environment).returncode == 0
    passes(environment, *RECORDS)


@pytest.mark.needs("python3-serial")
@pytest.mark.timeout(300)
def test_ports_are_opened_by_debians_pyserial(tmp_path: Path) -> None:
    passes(debians("serial", "VERSION", tmp_path), "tests/unit/bus/ports", "tests/crash/test_ports.py")
