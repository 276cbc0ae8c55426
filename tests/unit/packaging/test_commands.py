"""Manual page and completion say what the program's parser says."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder import completion, describe, manual
from edge_agent.cli import COMMANDS

COMMAND_LINE = describe.program()


def every(commands=COMMAND_LINE, above: str = "edge-agent"):
    for command in commands:
        name = f"{above} {command['name']}"
        yield name, command
        yield from every(command["commands"], name)


def page() -> str:
    [text] = [
        text.decode() for name, text in manual.pages(COMMAND_LINE, "1.0~rc1", 0) if "edge-agent.1" in name
    ]
    return text


def test_every_command_is_described() -> None:
    assert [command["name"] for command in COMMAND_LINE] == list(COMMANDS)


def test_the_page_has_every_command_and_every_option() -> None:
    text = page()
    for name, command in every():
        assert f"\n.B {name}\n" in text
        for option in command["options"]:
            for flag in option["flags"]:
                assert rf"\fB{manual.text(flag)}\fR" in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff shows what is wrong with a page")
def test_the_pages_are_sound() -> None:
    for _, content in manual.pages(COMMAND_LINE, "1.0~rc1", 0):
        command = ("groff", "-man", "-Tutf8", "-ww", "-rCHECKSTYLE=3", "-z")
        done = subprocess.run(command, input=content, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--dry-run", r"\-\-dry\-run"),
        (".hidden", r"\&.hidden"),
        ("'quoted' a\\b `c` ~d ^e", r"\(aqquoted\(aq a\eb \(gac\(ga \(tid \(hae"),
        ("two\n  lines", "two lines"),
    ],
)
def test_words_are_taken_literally(words: str, shown: str) -> None:
    assert manual.text(words) == shown


def test_a_parser_is_described_whole() -> None:
    parser = argparse.ArgumentParser(description="Does x.", epilog="Then y.")
    parser.add_argument("file", help="which")
    parser.add_argument(
        "--level", choices=("low", "high"), default="low", help="how much (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    below = parser.add_subparsers()
    below.add_parser("go", help="starts").add_argument("--fast", action="store_true")
    told = describe.command("x", "help", parser)
    assert [option["flags"] for option in told["options"]] == [[], ["--level"], ["--quiet"]]
    assert [option["metavar"] for option in told["options"]] == ["file", "{low,high}", ""]
    assert told["options"][1]["help"] == "how much (default: low)"
    assert [(order["name"], order["help"]) for order in told["commands"]] == [("go", "starts")]


# `_init_completion` and `_filedir` of the bash-completion package, as far as they are used.
HARNESS = r"""
_init_completion() {
    cword=$COMP_CWORD words=("${COMP_WORDS[@]}")
    cur=${words[cword]} prev=${words[cword-1]}
}
_filedir() { COMPREPLY+=(FILE); }
source "$1"
shift
COMP_WORDS=(edge-agent "$@") COMP_CWORD=$#
_edge_agent
echo "${COMPREPLY[*]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "edge-agent"
    path.write_text(completion.script(COMMAND_LINE))
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["sim"], "simulate"),
        (["--v"], "--version"),
        (["spool", "ver"], "verify"),
        (["spool", "purge", "--ye"], "--yes"),
        (["read", "--area", "h"], "holding"),
        (["run", "--conf"], "--config"),
        (["run", "--config", ""], "FILE"),
        (["check", ""], "FILE"),
        (["check", "--vers"], "FILE"),
    ],
)
def test_bash_completes_commands_orders_options_and_choices(
    typed: list[str], offered: str, script: Path
) -> None:
    done = subprocess.run(
        ("bash", "-c", HARNESS, "bash", script, *typed),
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (offered, "")


def test_every_option_is_offered_at_its_command(script: Path) -> None:
    text = script.read_text()
    for _, command in every():
        flags = " ".join(flag for option in command["options"] for flag in option["flags"])
        assert f'compgen -W "{flags} --help"'.replace('" --help', '"--help') in text
