"""`run` as the service manager starts it, in what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.daemon.configurations import SOUND


@pytest.mark.parametrize("package", ["msgpack", "paho", "serial"])
def test_a_missing_package_is_said_before_it_is_ready_with_what_to_do(tmp_path, package) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'{SOUND}[spool]\npath = "{tmp_path}/spool"\n')
    program = (
        f"import sys; sys.modules[{package!r}] = None; from edge_agent.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "--config", config, "--socket", tmp_path / "status.sock"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert package in done.stderr and "apt install --reinstall ./edge-agent_" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_configuration_it_says_how_to_come_by_one(tmp_path) -> None:
    command = [sys.executable, "-m", "edge_agent", "run", "--config", tmp_path / "agent.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "agent.toml: does not exist\n    hint: sudo edge-agent init" in done.stderr
