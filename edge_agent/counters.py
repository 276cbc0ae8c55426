"""Counters: declared once with a help text, incremented where the thing happens.

Each (name, labels) series is written by one thread only, so an increment needs no lock; readers
see a value that is at most one increment old.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Declaration:
    name: str
    help: str
    labels: tuple[str, ...] = ()


DECLARED: dict[str, Declaration] = {}


def declare(name: str, help: str, *labels: str) -> Declaration:
    """Make a counter known with the text docs/counters.md shows; a second declaration is a bug."""
    if name in DECLARED:
        raise ValueError(f"counter {name} is declared twice")
    DECLARED[name] = declaration = Declaration(name, help, labels)
    return declaration


class Counter:
    """One series. `add` is called by one thread."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int = 1) -> None:
        self.value += n


class Counters:
    """All series of one agent (or one test)."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, tuple[str, ...]], Counter] = {}

    def get(self, declaration: Declaration, *labels: str) -> Counter:
        """The series with these label values, in the order of the declaration."""
        if len(labels) != len(declaration.labels):
            raise ValueError(f"counter {declaration.name} has labels {declaration.labels}")
        key = (declaration.name, labels)
        counter = self._series.get(key)
        if counter is None:
            counter = self._series.setdefault(key, Counter())
        return counter

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], int]]:
        for (name, labels), counter in list(self._series.items()):
            yield name, labels, counter.value

    def snapshot(self) -> dict[str, int]:
        """`name{label,label}` to value, for the status socket and health messages."""
        return {f"{name}{{{','.join(labels)}}}" if labels else name: value for name, labels, value in self}
