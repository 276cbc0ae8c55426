"""Every key that the parser finds is located on the line where the text has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config.positions import BeyondBounds, Bounds, KeyPath, Position, locate

NAMES = st.sampled_from(
    ["a", "b-2", "x_y", "7", "true", "a b", "", "é", 'q"q', "t\ttab", "d.o.t", "#no", "[x]", "=", "\x1b"]
)
SCALARS = st.sampled_from(
    [
        "1", "0x1F", "1_000", "1.5e3", "inf", "true", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00",
        "07:32:00", '"text"', '"# no comment"', r'"esc \" ] } = \\"', "'lit \\'", "''", '""', "'# ]'",
    ]
)  # fmt: skip
LONG_STRINGS = st.sampled_from(
    [
        '"""one\n[not.a.header]\nk = 1\n"""',
        '"""\\\n   x"""', "'''\n# no\n'''", '"""a""b"""', '"""ends ""\\""""',
        '"""two quotes"""""', "'''two'''''", '""""""',
    ]
)  # fmt: skip
BLANKS = st.sampled_from(["", " ", "\t", "  "])


class Writer:
    """Writes a document and remembers the line of every key."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def put(self, *parts: str) -> None:
        self.text += "".join(parts)

    def blank(self) -> None:
        self.put(self.draw(BLANKS))

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def end(self) -> None:
        self.blank()
        self.put(
            self.draw(st.sampled_from(["", '# comment [x] = "', "#"])),
            self.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"])),
        )

    def trivia(self) -> None:
        self.put(self.draw(st.sampled_from(["", " ", "\n", "\n  # c ] }\n\t", "\r\n"])))

    def name(self) -> str:
        return self.draw(NAMES)

    def key_part(self, name: str) -> None:
        bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
        style = self.draw(st.sampled_from(["bare", "basic", "literal", "escaped"]))
        if style == "bare" and bare:
            self.put(name)
        elif style == "literal" and name.isprintable():
            self.put("'", name, "'")
        elif style == "escaped":
            self.put('"', "".join(f"\\U{ord(c):08x}" for c in name), '"')
        else:
            self.put(json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f"))

    def key(self, table: KeyPath, names: list[str]) -> KeyPath:
        path = table
        for index, name in enumerate(names):
            if index:
                self.blank()
                self.put(".")
                self.blank()
            path = (*path, name)
            self.note(path)
            self.key_part(name)
        return path

    def pair(self, table: KeyPath, used: set[str], depth: int) -> bool:
        names = self.draw(st.lists(NAMES, min_size=1, max_size=3))
        if names[0] in used:
            return False
        used.add(names[0])
        path = self.key(table, names)
        self.blank()
        self.put("=")
        self.blank()
        self.value(path, depth)
        return True

    def value(self, path: KeyPath, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "scalar", "long", "array", "table"]))
        if kind == "long":
            self.put(self.draw(LONG_STRINGS))
        elif kind == "array" and depth < 3:
            self.array(path, depth + 1)
        elif kind == "table" and depth < 3:
            self.inline_table(path, depth + 1)
        else:
            self.put(self.draw(SCALARS))

    def array(self, path: KeyPath, depth: int) -> None:
        self.put("[")
        for index in range(count := self.draw(st.integers(0, 3))):
            self.trivia()
            self.note((*path, index))
            self.value((*path, index), depth)
            self.trivia()
            if index < count - 1 or self.draw(st.booleans()):
                self.put(",")
        self.trivia()
        self.put("]")

    def inline_table(self, path: KeyPath, depth: int) -> None:
        self.put("{")
        used: set[str] = set()
        self.trivia()
        while len(used) < 3 and self.pair(path, used, depth):
            self.trivia()
            self.put(",")
            self.trivia()
        self.put("}")

    def document(self) -> None:
        self.body(())
        top = {path[0] for path in self.lines}
        arrays: dict[str, int] = {}
        for _ in range(self.draw(st.integers(0, 5))):
            name = self.name()
            self.blank()
            if name in arrays or (name not in top and self.draw(st.booleans())):
                index = arrays.get(name, 0)
                arrays[name] = index + 1
                self.put("[[")
                self.blank()
                self.note((name, index))
                path = (*self.key((), [name]), index)
                self.blank()
                self.put("]]")
            elif name not in top:
                self.put("[")
                names = [name, *self.draw(st.lists(NAMES, max_size=2))]
                path = self.key((), names)
                self.put("]")
            else:
                continue
            top.add(name)
            self.end()
            self.body(path)

    def body(self, table: KeyPath) -> None:
        used: set[str] = set()
        for _ in range(self.draw(st.integers(0, 3))):
            self.blank()
            if self.pair(table, used, 0):
                self.end()


@st.composite
def documents(draw: Any) -> tuple[str, dict[KeyPath, int]]:
    writer = Writer(draw)
    writer.document()
    return writer.text, writer.lines


def paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [(*path, key) for key, _ in items]
    for key, item in items:
        found += paths(item, (*path, key))
    return found


@given(documents())
@settings(max_examples=300, deadline=None)
def test_every_parsed_key_is_located_on_the_line_that_has_it(
    document: tuple[str, dict[KeyPath, int]],
) -> None:
    text, lines = document
    parsed = paths(tomli.loads(text))
    located = locate(text)
    assert set(parsed) == set(lines)
    assert {path: located[path].line for path in parsed} == lines


@given(st.text(alphabet="[]{}=.,\"'\\#\n\r\t ab1", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_survived_and_valid_text_is_located_wholly(text: str) -> None:
    located = locate(text)
    try:
        parsed = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    assert set(paths(parsed)) <= set(located)


def test_a_position_has_line_and_column() -> None:
    assert locate("a = 1\n  [b . c]\n\td = [ 1,\n  2 ]") == {
        ("a",): Position(1, 1),
        ("b",): Position(2, 4),
        ("b", "c"): Position(2, 8),
        ("b", "c", "d"): Position(3, 2),
        ("b", "c", "d", 0): Position(3, 8),
        ("b", "c", "d", 1): Position(4, 3),
    }


def test_tables_below_an_array_belong_to_its_latest_element() -> None:
    located = locate("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2\n[[a.d]]\n[[a.d]]\n")
    assert located["a", 0, "b", "c"].line == 3
    assert located["a", 1, "b", "c"].line == 6
    assert located["a", 1, "d", 1].line == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n" + "x" * 2049, 2),
        ("a = 1\n" + ".".join("a" * 17) + " = 1", 2),
        ("[" + ".".join("a" * 17) + "]", 1),
        ("a = " + "[" * 17, 1),
        ("a = " + "{a=" * 17, 1),
        ("a = [\n" + "[\n" * 16, 17),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BeyondBounds) as caught:
        locate(text)
    assert caught.value.line == line


def test_what_is_exactly_at_the_bounds_is_taken() -> None:
    bounds = Bounds(line_chars=40, key_parts=3, nesting=2)
    text = "a.b.c = 1\nd = [[1]]\n" + "#" * 40
    assert ("a", "b", "c") in locate(text, bounds)
