"""Questions at the terminal. Shell: reads lines, writes text, knows nothing of what is asked.

    question [default]: _        Enter takes the default; a wrong answer is said and the question comes again

`Nobody` has the same methods and asks nothing: the defaults are the answers, and a question without one is
an error that names the option. So the same dialogue runs with and without a person.
"""

from __future__ import annotations

import getpass
import sys
import textwrap
from collections.abc import Callable
from typing import Protocol, TextIO, TypeVar

from edge_agent.commissioning.toml_text import harmless
from edge_agent.errors import EdgeAgentError, InputError, Problem

T = TypeVar("T")
WIDTH = 79
MOST_SECRET = 4000
"""Bytes; the uplink reads no more of a password file."""


class Ended(EdgeAgentError):
    """The input ended where an answer was expected."""


class Person(Protocol):
    """Who is asked. `option` is what answers the same question on the command line."""

    is_there: bool

    def say(self, text: str = "") -> None: ...

    def ask(self, question: str, check: Callable[[str], T], *, default: str = "", option: str) -> T:
        """The answer as `check` made it of the text; it raises ValueError with what is wrong."""

    def agree(self, question: str, *, default: bool) -> bool: ...

    def secret(self, question: str) -> str:
        """Not shown while it is typed; empty when there is none."""


class Nobody:
    """With --yes: takes the defaults."""

    is_there = False

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def ask(self, question: str, check: Callable[[str], T], *, default: str = "", option: str) -> T:
        if not default:
            raise missing(option, f"no answer to: {question}")
        return checked(option, check, default)

    def agree(self, question: str, *, default: bool) -> bool:  # noqa: ARG002 (the answer is the default)
        return default

    def secret(self, question: str) -> str:  # noqa: ARG002
        return ""


class Somebody:
    """At a terminal."""

    is_there = True

    def __init__(self, source: TextIO, out: TextIO) -> None:
        self._source = source
        self._out = out

    def say(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def ask(self, question: str, check: Callable[[str], T], *, default: str = "", option: str) -> T:  # noqa: ARG002
        shown = f"{question} [{harmless(default)}]: " if default else f"{question}: "
        while True:
            text = self._line(shown) or default
            try:
                if not text:
                    raise ValueError("an answer is needed")
                return check(text)
            except ValueError as error:
                self._refuse(str(error))

    def agree(self, question: str, *, default: bool) -> bool:
        shown = f"{question} [{'Y/n' if default else 'y/N'}]: "
        while True:
            match self._line(shown).lower():
                case "":
                    return default
                case "y" | "yes":
                    return True
                case "n" | "no":
                    return False
            self._refuse("answer y or n")

    def secret(self, question: str) -> str:
        self._out.flush()
        while True:
            try:
                typed = getpass.getpass(f"{question}: ", self._out)
            except EOFError:
                raise _ended() from None
            try:
                if len(typed.encode()) <= MOST_SECRET:
                    return typed
                self._refuse(f"is longer than {MOST_SECRET} bytes")
            except UnicodeEncodeError:
                self._refuse("that was no UTF-8 text")

    def _line(self, shown: str) -> str:
        self._out.write(shown)
        self._out.flush()
        try:
            line = self._source.readline()
        except UnicodeDecodeError:
            self._refuse("that was no UTF-8 text")
            return self._line(shown)
        if not line:
            self.say()
            raise _ended()
        return line.strip()

    def _refuse(self, why: str) -> None:
        told(self, harmless(why, 400))


def told(person: Person, text: str, indent: str = "  ") -> None:
    """A text of any length, broken at the width of a terminal."""
    # Not at hyphens: commands and paths have them, and are copied from here.
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    for line in lines:
        person.say(line)


def _ended() -> Ended:
    return Ended("the input ended before the last question")


def missing(option: str, message: str, hint: str = "") -> InputError:
    """What was not said and nobody can be asked for."""
    hint = hint or f"say {option} ..., or leave --yes out to be asked"
    return InputError([Problem(file="command line", line=0, key=option, message=message, hint=hint)])


def checked(option: str, check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except ValueError as error:
        problem = Problem(
            file="command line", line=0, key=option, message=str(error), value=f'"{harmless(text, 60)}"'
        )
        raise InputError([problem]) from None


def is_usable(source: TextIO | None) -> bool:
    """Whether there is somebody to ask."""
    return source is not None and source.isatty() and sys.stdout is not None
