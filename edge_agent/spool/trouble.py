"""What is wrong with the disk, in words for the status, for as long as it is wrong.

The first cause is kept: what fails after it mostly fails because of it, and says less. It is over when
a whole commit interval passed in which nothing failed and the disk was used.
"""

from __future__ import annotations

from edge_agent.counters import Counters, declare

SPOOL_ERRORS = declare("spool_errors", "disk operations that failed", "operation")


class Trouble:
    """`failed` from any thread, `interval_over` from the writer."""

    def __init__(self, counters: Counters) -> None:
        self.problem = ""
        """The disk operation that failed first; empty once the disk works again."""
        self._counters = counters
        self._fresh = False

    def failed(self, operation: str, error: OSError) -> None:
        self._counters.get(SPOOL_ERRORS, operation).add()
        self._fresh = True
        self.problem = self.problem or f"{operation}: {error.strerror or error}"

    def interval_over(self, *, in_use: bool) -> None:
        if in_use and not self._fresh:
            self.problem = ""
        self._fresh = False
