"""The one error tree. Events of the line are values (`bus.outcomes`), not errors.

Every error a technician can see carries a hint. Foreign errors (OSError, paho, msgpack) are
translated where their library enters, so nothing above a door has to know them.
"""

from __future__ import annotations

from dataclasses import dataclass


class EdgeAgentError(Exception):
    """Base of everything this program raises on purpose. `exit_status` is the command's status."""

    exit_status = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input file, with its place and what to do about it."""

    file: str
    line: int
    """1-based; 0 when the whole file is meant."""
    key: str
    """Dotted path such as `device.meter.unit_id`; empty for the whole file."""
    message: str
    value: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.key}: " if self.key else f"{place}: "
        text += self.message
        if self.value:
            text += f" (got {self.value})"
        if self.hint:
            text += f"\n    hint: {self.hint}"
        return text


class InputError(EdgeAgentError):
    """A configuration, profile or option is wrong; all its problems at once."""

    exit_status = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class PortError(EdgeAgentError):
    """A serial port or socket cannot be opened or has failed; `hint` says what to try."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        self.reason = reason
        """One word for status and quality: missing, busy, permission, lost, refused, tls, io."""
        self.hint = hint
        super().__init__(message + (f"\n    hint: {hint}" if hint else ""))


class RecordError(EdgeAgentError):
    """Bytes that should be a record are not, or break a bound of docs/record-format.md."""


class SpoolError(EdgeAgentError):
    """The spool cannot be opened or used at all (its lock is held, its path is not a directory)."""


class KernelError(EdgeAgentError):
    """The kernel library is missing, stale, or fails its golden self-test."""


class UplinkError(EdgeAgentError):
    """The broker cannot be used as configured (address, TLS files, refused login)."""


class ServiceError(EdgeAgentError):
    """systemd could not be asked, or refused; `hint` says where to look."""

    def __init__(self, message: str, *, hint: str) -> None:
        self.hint = hint
        super().__init__(f"{message}\n    hint: {hint}")


class UpdateError(EdgeAgentError):
    """A package cannot be installed as asked; nothing of the installation was changed."""

    def __init__(self, message: str, *, hint: str) -> None:
        self.hint = hint
        super().__init__(f"{message}\n    hint: {hint}")
