from __future__ import annotations

import subprocess
import sys

import pytest

from edge_agent import __version__
from edge_agent.cli import COMMANDS, main


def test_the_version_is_said(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"edge-agent {__version__}\n"


def test_without_a_command_the_help_lists_them_all(capsys) -> None:
    assert main([]) == 2
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_input_errors_end_with_2_and_others_with_1(tmp_path, capsys) -> None:
    assert main(["check", str(tmp_path / "nothing.toml")]) == 2
    assert "1 problem" in capsys.readouterr().err
    assert main(["status", "--socket", str(tmp_path / "nothing.sock")]) == 1
    assert "hint" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_traceback(tmp_path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m edge_agent --help | head -1", shell=True, capture_output=True, text=True
    )
    assert "usage" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full"])
def test_an_output_that_takes_nothing_is_no_traceback(redirection: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m edge_agent {redirection}", shell=True, capture_output=True, text=True
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize("text", ["nan", "inf", "1e400", "-1", "soon", ""])
@pytest.mark.parametrize("command", ["receive --url mqtt://127.0.0.1 --seconds", "demo --seconds"])
def test_a_time_that_is_none_is_an_input_error(command: str, text: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), text])
    assert end.value.code == 2
    assert "no number of seconds" in capsys.readouterr().err or text == "-1"


def test_one_command_does_not_load_the_others() -> None:
    code = (
        "import sys; from edge_agent.cli import main\n"
        "try: main(['check', '--help'])\n"
        "except SystemExit: pass\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('paho', 'serial', 'msgpack', 'ssl')]\n"
        "sys.exit(bool(bad))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
