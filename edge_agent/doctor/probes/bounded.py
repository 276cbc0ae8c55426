"""A call that may hang, in a thread of its own that is left behind when its time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Late(Exception):
    """It has not come to an end in time."""


class Bounded(Generic[T]):
    """Begins at once; `result` waits for it, and raises what it raised."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None
        # A daemon: what hangs in the kernel must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"doctor-{name}", daemon=True)
        self._thread.start()

    def result(self, timeout_s: float) -> T:
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        if not self._results:
            raise Late("no answer in time")
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except Exception as error:  # noqa: BLE001 (raised again by `result`)
            self._error = error
