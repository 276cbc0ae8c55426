"""A program's command line as JSON, read from its own parser: `describe.py` with the program on PYTHONPATH.

Manual page and completion are made of this, so they cannot say what the program does not do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

Command = Mapping[str, Any]
"""`name`, `help`, `description`, `epilog`, `options` and `commands` below it.

An option has `flags` (none: an argument by its place), `metavar` ("" if it takes no value), `required`,
`choices`, `help`.
"""


def program() -> list[Command]:
    """Every command of edge-agent, in the order of its help."""
    from edge_agent import cli

    commands = []
    for name, help_text in cli.COMMANDS.items():
        # The parser loads only the command that is called.
        parser = cli._parser([name])
        [subparsers] = _subparsers(parser)
        commands.append(command(name, help_text, subparsers.choices[name]))
    return commands


def command(name: str, help_text: str, parser: argparse.ArgumentParser) -> Command:
    options = [_option(parser, action) for action in parser._actions if not _is_special(action)]
    below = [
        command(pseudo.dest, pseudo.help or "", subparsers.choices[pseudo.dest])
        for subparsers in _subparsers(parser)
        for pseudo in subparsers._choices_actions
    ]
    return {
        "name": name,
        "help": help_text,
        "description": parser.description or "",
        "epilog": parser.epilog or "",
        "options": options,
        "commands": below,
    }


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Mapping[str, Any]:
    formatter = parser._get_formatter()
    takes_value = not action.option_strings or action.nargs != 0
    return {
        "flags": list(action.option_strings),
        "metavar": formatter._format_args(action, _metavar(action)) if takes_value else "",
        "required": action.required,
        "choices": [str(choice) for choice in action.choices or ()],
        "help": formatter._expand_help(action) if action.help else "",
    }


def _metavar(action: argparse.Action) -> str:
    return action.dest.upper() if action.option_strings else action.dest


def _is_special(action: argparse.Action) -> bool:
    """Help is told once for all commands; commands below are commands."""
    return isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or (
        action.help == argparse.SUPPRESS
    )


def _subparsers(parser: argparse.ArgumentParser) -> list[Any]:
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]


if __name__ == "__main__":
    json.dump(program(), sys.stdout)
