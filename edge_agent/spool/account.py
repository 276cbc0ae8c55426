"""The writer thread's account of losses: each is noted on the disk before what it concerns can be gone.

Owns what is still to be declared, and the counter. What is given up, and why, others decide.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from edge_agent.counters import Counters, declare
from edge_agent.records.values import Loss
from edge_agent.spool.lossbook import LossBook
from edge_agent.spool.reading import Reader
from edge_agent.spool.trouble import Trouble

SPOOL_LOST = declare("spool_lost", "records lost in or before the spool, all declared", "stream", "reason")

T = TypeVar("T")


class Account:
    """One per spool."""

    def __init__(
        self, book: LossBook, reader: Reader, lock: threading.Lock, counters: Counters, trouble: Trouble
    ) -> None:
        self.hands_off = False
        """The directory must not be touched: what is in it is not known, or another's."""
        self.undeclared: list[Loss] = []
        self._book = book
        self._reader = reader
        self._lock = lock
        self._counters = counters
        self._trouble = trouble

    def note(self, losses: Sequence[Loss], handed_back: Sequence[Loss] = ()) -> None:
        """Losses that have happened. Where the disk does not take them it is tried again before anything
        else is written. `handed_back`: those whose declarations went with them."""
        every = [*losses, *handed_back]
        if every and not self.hands_off:
            try:
                self._book.note(every)
            except OSError as error:
                self._trouble.failed("note loss", error)
        self._count(losses)
        self.undeclared.extend(every)

    def intend(self, losses: Sequence[Loss], handed_back: Sequence[Loss] = ()) -> bool:
        """Losses that are about to be caused; false if they cannot be noted, and must not happen.
        `handed_back`: those whose declarations go with them."""
        every = [*losses, *handed_back]
        try:
            if every:
                self._book.note(every)
        except OSError as error:
            self._trouble.failed("note loss", error)
            self._book.withdraw(every)
            return False
        self._count(losses)
        self.undeclared.extend(every)
        return True

    def decide(self, question: Callable[[], T]) -> T | None:
        """Something may go by the answer, so it is asked when everything is noted that the reader has found
        lost up to then: a segment of which that was the rest looks acknowledged. None where that fails."""
        with self._lock:
            found = self._reader.take_losses()
            answer = question()
        self.note(found)
        try:
            self._book.save()
        except OSError as error:
            self._trouble.failed("note loss", error)
            return None
        return answer

    def take(self) -> list[Loss]:
        """What is to be declared and was not taken before."""
        with self._lock:
            found = self._reader.take_losses()
        self.note(found)
        taken, self.undeclared = self.undeclared, []
        return taken

    def _count(self, losses: Sequence[Loss]) -> None:
        for loss in losses:
            self._counters.get(SPOOL_LOST, loss.stream, loss.reason).add(loss.count)
