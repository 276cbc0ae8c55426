"""Debian's own checker has nothing to say, and no override keeps it from that."""

from __future__ import annotations

import subprocess

import pytest

from tests.unit.packaging.made import ARCHITECTURES, made


@pytest.mark.needs("lintian", "lld")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lintian_finds_no_error_and_no_warning(architecture: str) -> None:
    command = ("lintian", "--no-cfg", "--fail-on", "error,warning", "--allow-root", made(architecture).path)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    overrides = [name for name in made(architecture).contents if "lintian" in name]
    assert overrides == []
