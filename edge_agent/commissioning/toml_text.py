"""Text that goes into a TOML file: as a value, and as a comment. Pure.

What a device says of itself, and what a person types, may hold anything. A value is escaped so that it
reads back as it was; a comment cannot, so it is shortened and made printable: neither can end its line,
begin a table, or drive the terminal of whoever looks at the file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from edge_agent.config.values import printable

MOST_COMMENT = 200
"""Characters of a comment that come from outside."""
WIDTH = 79


def quoted(text: str) -> str:
    """A basic string (TOML 1.0, String): quotes, backslashes and control characters escaped."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def harmless(text: str, most: int = MOST_COMMENT) -> str:
    """`text` on one line, without control characters, at most `most` characters: for a comment and for the
    terminal. What is not UTF-8 at all is replaced."""
    shown = printable(text[:most].encode("utf-8", "replace").decode())
    return shown if len(text) <= most and len(shown) <= most else shown[: max(0, most - 3)] + "..."


def comment(text: str, indent: str = "# ") -> Iterator[str]:
    """Lines of a comment, broken at the width of a terminal."""
    yield from textwrap.wrap(
        harmless(text, 1000), WIDTH, initial_indent=indent, subsequent_indent="# ", break_on_hyphens=False
    )
