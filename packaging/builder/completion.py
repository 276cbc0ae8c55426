"""Completion for bash, from the program's own parser: commands, options, choices; all else is a file name.

Source of the interface: bash(1), "Programmable Completion"; `_init_completion` and `_filedir` are
functions of the bash-completion package, which loads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.describe import Command

PATH = "usr/share/bash-completion/completions/edge-agent"

_HEAD = """\
# Completion of edge-agent for bash; made from the program's own parser.
_edge_agent()
{
    local cur prev words cword
    _init_completion || return
    local command=${words[1]} order=${words[2]}
    if [[ $cword -eq 1 ]]; then
        COMPREPLY=($(compgen -W "%s" -- "$cur"))
        return
    fi
    case "$command $order:$prev" in
"""
_MIDDLE = """\
    esac
    case "$command $order" in
"""
_TAIL = """\
    esac
    _filedir
} &&
    complete -F _edge_agent edge-agent
"""


def script(commands: Sequence[Command]) -> str:
    names = " ".join([*(command["name"] for command in commands), "--help", "--version"])
    parts = [_HEAD % names]
    parts += [_values(pattern, option) for pattern, option in _options(commands)]
    parts.append(_MIDDLE)
    for command in commands:
        parts += [_words(f'"{command["name"]} {below["name"]}"', below) for below in command["commands"]]
        parts.append(_words(f'"{command["name"]} "*', command))
    return "".join([*parts, _TAIL])


def _options(commands: Sequence[Command]) -> Iterator[tuple[str, Command]]:
    for command in commands:
        for option in command["options"]:
            yield f'"{command["name"]} "*', option
        for below in command["commands"]:
            for option in below["options"]:
                yield f'"{command["name"]} {below["name"]}"', option


def _values(pattern: str, option: Command) -> str:
    """What may stand behind an option that has choices."""
    if not option["choices"] or not option["flags"]:
        return ""
    patterns = "|".join(f"{pattern}:{flag}" for flag in option["flags"])
    return f"        {patterns}) {_reply(option['choices'])}; return ;;\n"


def _words(pattern: str, command: Command) -> str:
    flags = [flag for option in command["options"] for flag in option["flags"]]
    orders = [below["name"] for below in command["commands"]]
    lines = [f"        {pattern})", f"            [[ $cur == -* ]] && {_reply([*flags, '--help'])} && return"]
    if orders:
        lines.append(f"            [[ $cword -eq 2 ]] && {_reply(orders)} && return")
    return "\n".join([*lines, "            ;;", ""])


def _reply(words: Sequence[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))'
