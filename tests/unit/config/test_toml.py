"""Whatever the bytes are, reading them ends soon, in data or in one problem with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config import toml
from edge_agent.errors import InputError, Problem

K64 = 64 * 1024
BOMBS = {
    "one dotted key": ".".join("a" * (K64 // 2)) + " = 1",
    "one table header": "[" + ".".join("a" * (K64 // 2)) + "]",
    "dotted keys with blanks": " . ".join("a" * (K64 // 4)) + " = 1",
    "quoted dotted key": ".".join(['"a"'] * (K64 // 4)) + " = 1",
    "nested arrays": "a = " + "[" * K64,
    "nested arrays over lines": "a = " + "[\n" * K64,
    "nested inline tables": "a = " + "{a=" * (K64 // 3),
    "nested inline tables over lines": "a = " + "{\na=" * (K64 // 4),
    "unclosed string": 'a = "' + "\\\\" * K64,
    "unclosed long string over lines": 'a = """' + "\\\n" * K64,
    "unclosed quotes over lines": 'a = """' + '\\""\n' * (K64 // 4),
    "one long line": "a = 1" + " " * K64,
    "a number of many digits": "a = " + "1" * K64,
    "dotted inside an inline table": "a = {" + ".".join("a" * K64) + "=1}",
}


def problem_of(data: bytes) -> Problem:
    with pytest.raises(InputError) as caught:
        toml.parse(data, "f.toml")
    (problem,) = caught.value.problems
    assert problem.file == "f.toml"
    return problem


@pytest.mark.timeout(5)
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(name: str) -> None:
    problem_of(BOMBS[name].encode())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    [
        "[a{}.b.c.d.e.f.g]\nx.y.z = 1\n",
        "[[a]]\n[[a.b]]\n",
        "a.b.c{} = 1\n",
        "k{} = [[[[1],[2]],[]]]\n",
        "#\n",
        "k{} = {{a.b.c = 1}}\n",
    ],
)
def test_a_file_at_the_size_limit_is_parsed(unit: str) -> None:
    text = "".join(unit.format(index) for index in range(20_000))
    data = text.encode()[: toml.MAX_BYTES]
    toml.parse(data[: data.rindex(b"\n") + 1].removesuffix(b"[[a]]\n"), "f.toml")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_data_or_one_problem(data: bytes) -> None:
    try:
        toml.parse(data, "f.toml")
    except InputError as error:
        assert len(error.problems) == 1


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"a = 1\nb = \xff\n", 2, "0xFF is not UTF-8"),
        (b"a = 1\n\0", 2, "NUL"),
        (b"\xef\xbb\xbfa = 1\n", 1, "byte order mark"),
        (b"\xff\xfea\0", 0, "UTF-16"),
        (b"a = 1\na = 2\n", 2, "Cannot overwrite"),
        (b"a = 500ms\n", 1, "Expected newline"),
        (b"a = /dev/ttyS0\n", 1, "Invalid value"),
        (b"a = 2024-02-30\n", 1, "Invalid date"),
        (b"a = 1\r\nb = \r\n", 2, "Invalid value"),
        (b"x = " + b"9" * 2000, 1, ""),
        (b"#" * (toml.MAX_BYTES + 1), 0, "larger than 256 KiB"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_toml_is_refused_with_its_line(data: bytes, line: int, words: str) -> None:
    if words:
        problem = problem_of(data)
        assert (problem.line, words in problem.message) == (line, True), problem
    else:
        toml.parse(data, "f.toml")


def test_lines_may_end_as_on_windows() -> None:
    document = toml.parse(b"a = 1\r\n[b]\r\nc = '''x\r\ny'''\r\nd = 2\r\n", "f.toml")
    assert document.data["a"] == 1
    assert document.line(("b", "d")) == 5


def test_the_line_of_something_unknown_is_that_of_the_table_around_it() -> None:
    document = toml.parse(b"\n[a.b]\nc = 1\n", "f.toml")
    assert document.line(("a", "b", "missing", 3)) == 2
    assert document.line(("z",)) == 0


def reading(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        toml.read(path)
    return str(caught.value)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "does not exist" in reading(tmp_path / "missing.toml")
    assert "is a directory" in reading(tmp_path)
    assert "not a regular file" in reading(tmp_path / "pipe")
    assert "not a regular file" in reading(Path("/dev/zero"))
    assert "cannot be opened" in reading(tmp_path / "nul\0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.toml"
    path.write_text("")
    path.chmod(0)
    assert "may not be read" in reading(path)
