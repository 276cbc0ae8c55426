"""What is wrong with the options of a command, said as `check` says it of a configuration. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edge_agent.config import values
from edge_agent.errors import InputError, Problem

T = TypeVar("T")


class Problems:
    """Collects all of it, so that it is told at once."""

    def __init__(self) -> None:
        self.all: list[Problem] = []

    def add(self, key: str, message: str, value: object, hint: str = "") -> None:
        shown = values.show(value)
        self.all.append(
            Problem(file="command line", line=0, key=key, message=message, value=shown, hint=hint)
        )

    def parsed(self, key: str, parse: Callable[[str], T], text: str, default: T) -> T:
        """`text` parsed, or `default` and a problem."""
        try:
            return parse(text)
        except ValueError as error:
            self.add(key, str(error), text)
            return default


def wrong(key: str, message: str, value: object, hint: str = "") -> InputError:
    """For the one problem that leaves nothing else to look at."""
    problems = Problems()
    problems.add(key, message, value, hint)
    return InputError(problems.all)
