"""Beginning to connect when the system has nothing left to give."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from edge_agent.clock import SystemClock
from edge_agent.uplink.connection.address import Address, Login
from edge_agent.uplink.connection.dial import Dialer
from edge_agent.uplink.reasons import Failure

HERE = Address(host="127.0.0.1", port=1, tls=False)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_without_a_free_descriptor_the_attempt_fails_and_not_the_thread(monkeypatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "eventfd", refuse)
    result = Dialer(SystemClock()).dial(HERE, Login(), 1.0)
    assert isinstance(result, Failure)
    assert "Too many open files" in result.message


def test_without_a_thread_the_attempt_fails_and_its_descriptor_is_given_back() -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = _descriptors()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        result = Dialer(SystemClock()).dial(HERE, Login(), 1.0)
    assert isinstance(result, Failure)
    assert _descriptors() == before
