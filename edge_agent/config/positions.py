"""Where each key of a TOML document stands, and whether its structure stays within bounds.

Owns a scanner over TOML's outer structure: headers, keys, brackets, strings, comments. It knows no
value types and judges no grammar: where it does not understand the text it stops, and the parser
says what is wrong. It runs before the parser, so it also refuses what would cost a parser time
beyond measure: long lines, long keys, deep nesting.

Invariants: one pass, the offset only grows, the depth of recursion is at most `Bounds.nesting`.
Every key path that a parser reports for a valid document is in the result.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Names of keys, and indexes into arrays: ("device", "press", "filter", 0)."""


@dataclass(frozen=True, slots=True)
class Position:
    """1-based line and column (in characters) of the first letter of a key or array element."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a document may ask of the machine that reads it."""

    line_chars: int = 2048
    key_parts: int = 16
    nesting: int = 16


class BeyondBounds(Exception):
    """The document's structure is larger than allowed; `line` says where."""

    def __init__(self, message: str, line: int) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


def locate(text: str, bounds: Bounds | None = None) -> Mapping[KeyPath, Position]:
    """Position of every key and array element of `text`; BeyondBounds if it is too much.

    Of a document that is not valid TOML, the keys up to the fault.
    """
    scanner = _Scanner(text, bounds or Bounds())
    scanner.check_lines()
    with contextlib.suppress(_NotUnderstood):
        scanner.document()
    return scanner.found


class _NotUnderstood(Exception):
    """The text is not TOML from here on: for the parser to explain."""


_BLANK = re.compile(r"[ \t]*")
# Between the elements of an array, and (from TOML 1.1 on) between those of an inline table.
_TRIVIA = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_BASIC_LONG_STEP = re.compile(r'\\[\s\S]|"""')
# Numbers, booleans, dates ("1979-05-27 07:32:00" has a blank inside).
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 1:
        return _ESCAPED.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 else "\ufffd"


class _Scanner:
    def __init__(self, text: str, bounds: Bounds) -> None:
        self.text = text
        self.bounds = bounds
        self.at = 0
        self.found: dict[KeyPath, Position] = {}
        self._elements: dict[KeyPath, int] = {}
        """How many `[[name]]` headers of each array of tables have been seen."""
        self._starts = [0]
        self._starts.extend(match.end() for match in re.finditer("\n", text))

    # --- bounds and positions -------------------------------------------------------------

    def check_lines(self) -> None:
        ends = [*self._starts[1:], len(self.text) + 1]
        for line, (start, end) in enumerate(zip(self._starts, ends, strict=True), 1):
            if end - start - 1 > self.bounds.line_chars:
                raise BeyondBounds(f"line is longer than {self.bounds.line_chars} characters", line)

    def _line(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def _note(self, path: KeyPath, offset: int) -> None:
        """Only the first place of a path counts: where a table is first named."""
        if path not in self.found:
            line = self._line(offset)
            self.found[path] = Position(line, offset - self._starts[line - 1] + 1)

    # --- statements -----------------------------------------------------------------------

    def document(self) -> None:
        text = self.text
        table: KeyPath = ()
        while True:
            self._skip(_TRIVIA)
            if self.at >= len(text):
                return
            if text.startswith("[[", self.at):
                table = self._header("]]", array=True)
            elif text[self.at] == "[":
                table = self._header("]", array=False)
            else:
                self._pair(table, 0)
            self._expect(_REST_OF_LINE)

    def _header(self, close: str, *, array: bool) -> KeyPath:
        self.at += len(close)
        parts = self._key()
        self._literal(close)
        path: KeyPath = ()
        for name, offset in parts[:-1]:
            path = self._current((*path, name))
            self._note(path, offset)
        name, offset = parts[-1]
        path = (*path, name)
        self._note(path, offset)
        if not array:
            return self._current(path)
        index = self._elements.get(path, 0)
        self._elements[path] = index + 1
        self._note((*path, index), offset)
        return (*path, index)

    def _current(self, path: KeyPath) -> KeyPath:
        """A header below an array of tables means its latest element."""
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: KeyPath, depth: int) -> None:
        """`key = value`; dotted keys name the tables on their way."""
        path = table
        for name, offset in self._key():
            path = (*path, name)
            self._note(path, offset)
        self._literal("=")
        self._skip(_BLANK)
        self._value(path, depth)

    def _key(self) -> list[tuple[str, int]]:
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANK)
            if len(parts) == self.bounds.key_parts:
                raise BeyondBounds(f"key has more than {len(parts)} parts", self._line(self.at))
            parts.append(self._key_part())
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _key_part(self) -> tuple[str, int]:
        start = self.at
        if bare := _BARE_KEY.match(self.text, start):
            self.at = bare.end()
            return bare[0], start
        if literal := _LITERAL.match(self.text, start):
            self.at = literal.end()
            return literal[0][1:-1], start
        basic = self._expect(_BASIC)
        return _ESCAPE.sub(_unescape, basic[1:-1]), start

    # --- values ---------------------------------------------------------------------------

    def _value(self, path: KeyPath, depth: int) -> None:
        text = self.text
        if text.startswith('"""', self.at):
            self._long_basic()
        elif text.startswith("'''", self.at):
            self._long_end(text.find("'''", self.at + 3), "'")
        elif text.startswith('"', self.at):
            self._expect(_BASIC)
        elif text.startswith("'", self.at):
            self._expect(_LITERAL)
        elif text.startswith("[", self.at):
            self._array(path, self._deeper(depth))
        elif text.startswith("{", self.at):
            self._inline_table(path, self._deeper(depth))
        else:
            self._expect(_SCALAR)

    def _deeper(self, depth: int) -> int:
        if depth == self.bounds.nesting:
            raise BeyondBounds(f"arrays and tables are nested deeper than {depth}", self._line(self.at))
        return depth + 1

    def _long_basic(self) -> None:
        end = -1
        for step in _BASIC_LONG_STEP.finditer(self.text, self.at + 3):
            if step[0] == '"""':
                end = step.start()
                break
        self._long_end(end, '"')

    def _long_end(self, end: int, quote: str) -> None:
        """One or two quotes may stand before the closing three: they belong to the value."""
        if end < 0:
            raise _NotUnderstood
        self.at = end + 3
        for _ in range(2):
            if self.text.startswith(quote, self.at):
                self.at += 1

    def _array(self, path: KeyPath, depth: int) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_TRIVIA)
            if self._closes("]"):
                return
            self._note((*path, index), self.at)
            self._value((*path, index), depth)
            index += 1
            self._separator("]")

    def _inline_table(self, path: KeyPath, depth: int) -> None:
        self.at += 1
        while True:
            self._skip(_TRIVIA)
            if self._closes("}"):
                return
            self._pair(path, depth)
            self._separator("}")

    def _separator(self, close: str) -> None:
        self._skip(_TRIVIA)
        if not self.text.startswith(close, self.at):
            self._literal(",")

    def _closes(self, close: str) -> bool:
        if not self.text.startswith(close, self.at):
            return False
        self.at += 1
        return True

    # --- primitives -----------------------------------------------------------------------

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        assert match is not None  # these patterns match the empty text
        self.at = match.end()

    def _expect(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _NotUnderstood
        self.at = match.end()
        return match[0]

    def _literal(self, text: str) -> None:
        if not self.text.startswith(text, self.at):
            raise _NotUnderstood
        self.at += len(text)
