"""The command line: one file per command, loaded only when it is called.

Exit status: 0 done, 1 failed, 2 the input is wrong. Errors go to stderr with a hint; data to stdout, and with
--json why a command failed, as an object `error`.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_agent import __version__
from edge_agent.errors import EdgeAgentError, InputError

COMMANDS = {
    "run": "run the agent with a configuration",
    "check": "check a configuration file, all problems at once",
    "plan": "the requests a configuration makes, what they take of each line, achievable periods",
    "status": "what a running agent knows: buses, devices, values, uplink",
    "watch": "live table of a running agent",
    "read": "read registers of one device, without a configuration",
    "scan": "find the devices on a line: speed, format, unit ids",
    "init": "the first run: find port and devices, write the configuration, start the service",
    "doctor": "what is wrong with this gateway, and what to type",
    "update": "install a package, watch it, put the old one back by itself",
    "simulate": "serve simulated devices on a pseudo-terminal or TCP port",
    "spool": "records on the disk: status, verify, export, purge",
    "receive": "the reference receiver: show every value, prove that none is missing",
    "demo": "simulator, agent and receiver together, no hardware",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `edge-agent`. Returns the exit status."""
    if sys.stdout is None:
        # Started with a closed stdout: there is nobody to tell, which is no reason to fail.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (it stays open as long as we run)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    try:
        status = _run(parser, options)
        sys.stdout.flush()
        return status
    except InputError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"edge-agent: {count} problem{'s' if count != 1 else ''}", file=sys.stderr)
        return error.exit_status
    except EdgeAgentError as error:
        print(f"edge-agent: error: {error}", file=sys.stderr)
        if getattr(options, "json", False):
            _say_in_json(error)
        return error.exit_status
    except BrokenPipeError:
        # The reader of our output (head, less) has gone.
        return _give_up_stdout()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        print(f"edge-agent: error: cannot write: {error}", file=sys.stderr)
        return _give_up_stdout()
    except KeyboardInterrupt:
        return 130


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not hasattr(options, "run"):
        parser.print_help()
        return 2
    status: int = options.run(options)
    return status


def _say_in_json(error: EdgeAgentError) -> None:
    """Whoever reads JSON finds the reason there too."""
    from edge_agent.cli import _json

    try:
        print(_json.dumps({"error": _json.error(error)}), flush=True)
    except BrokenPipeError:
        _give_up_stdout()


def _give_up_stdout() -> int:
    """Point stdout elsewhere, so that the interpreter's own flush at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


class _Help(argparse.HelpFormatter):
    """argparse makes one for every option it is told of, and loads shutil, lzma and bz2 to know how wide the
    terminal is: half a megabyte in the daemon."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else -1).columns or 80
    except (OSError, ValueError):
        return 80


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="edge-agent",
        description="Reads serial and Modbus devices, judges what it reads, and forwards records over MQTT.",
    )
    parser.add_argument("--version", action="version", version=f"edge-agent {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    # Only the command that is called is imported: `run` must start fast and stay small.
    called = next((word for word in arguments if word in COMMANDS), None)
    for name, help_text in COMMANDS.items():
        if name == called:
            importlib.import_module(f"edge_agent.cli.{name}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_text)
    return parser
