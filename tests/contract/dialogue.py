"""A person at a pseudo-terminal of 80 columns: types an answer whenever a question stands there.

with Dialogue([sys.executable, "-m", "edge_agent", "init"]) as person:
    person.answer("Port", "/dev/ttyUSB0")
    person.wait_for("Site")
    assert person.leave() == 130             # Ctrl-C instead of an answer
    print(person.transcript)                 # what was on the screen, without what was drawn over
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_PATIENCE_S = 60.0
_DRAWN_OVER = re.compile(r"[^\n]*\r\x1b\[K")


class Dialogue:
    def __init__(self, command: Sequence[str]) -> None:
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._said = ""
        self._answered = 0
        self.process = subprocess.Popen(
            # The terminal becomes that of the session, so that a password is asked on it.
            [sys.executable, "-c", _CHILD, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    @property
    def transcript(self) -> str:
        return _DRAWN_OVER.sub("", self._said.replace("\r\n", "\n"))

    def answer(self, question: str, text: str) -> None:
        """Wait for a question that begins so, and type `text` and Enter."""
        self.wait_for(question)
        self.type(text + "\n")

    def wait_for(self, question: str) -> None:
        """A question stands in the last line, and nobody has answered it yet."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            last = self._said[self._answered :].rpartition("\n")[2]
            if last.strip().startswith(question) and last.endswith(": "):
                return
            assert self._hear(until), f"no question {question!r} in:\n{self._said}"

    def wait_for_text(self, text: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while text not in self._said:
            assert self._hear(until), f"never said {text!r}:\n{self._said}"

    def type(self, text: str) -> None:
        self._answered = len(self._said)
        os.write(self._terminal, text.encode())

    def leave(self) -> int:
        """Ctrl-C until it has ended, as a person does: one that comes between Python's last look for signals
        and the system call that reads is seen only after that call."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            self.type("\x03")
            again = time.monotonic() + 1.0
            while self._hear(again):
                pass
            if time.monotonic() < again:
                break
        return self.process.wait(_PATIENCE_S)

    def end(self) -> int:
        """Everything it still says, and its exit status."""
        until = time.monotonic() + _PATIENCE_S
        while self._hear(until):
            pass
        return self.process.wait(_PATIENCE_S)

    def _hear(self, until: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))
        try:
            data = os.read(self._terminal, 65536) if ready else b""
        except OSError:
            return False  # EIO: nobody has the other end any more
        self._said += data.decode(errors="replace")
        return bool(data)


_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
