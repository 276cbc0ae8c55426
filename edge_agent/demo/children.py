"""The demo's child processes: started with a log file each, stopped in order, never left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from edge_agent.clock import Clock
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS, MonoNs

_POLL_NS = 50_000_000


class Children:
    """Context manager: whatever happens, every child is stopped, the youngest first."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in reversed(list(self._running)):
            self.stop(name, 5)

    def start(self, name: str, command: Sequence[str], *, piped: bool = False) -> subprocess.Popen[str]:
        """Start `command`; its stderr, and stdout unless `piped`, go to `<name>.log` in the folder."""
        with (self._folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                text=True,
                # A Ctrl-C at the terminal is for us; we stop the children in their order.
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def stop(self, name: str, timeout_s: float, how: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask a child to end; kill it after `timeout_s`. Returns its exit status, None if it was killed."""
        process = self._running.pop(name)
        process.send_signal(how)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def check(self) -> None:
        """EdgeAgentError with the end of its log when a child has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = (self._folder / f"{name}.log").read_text()[-800:]
                raise EdgeAgentError(f"{name} ended with status {process.returncode}:\n{tail}")

    def wait_for_port(self, port: int, timeout_s: float) -> None:
        """Until something listens on the loopback `port`."""
        self._wait(lambda: _listens(port), timeout_s, f"nothing listens on port {port}")

    def wait_for_path(self, path: Path, timeout_s: float) -> None:
        """Until `path` exists."""
        self._wait(path.exists, timeout_s, f"{path} has not appeared")

    def wait_for_text(self, name: str, text: str, timeout_s: float) -> None:
        """Until `text` stands in the child's log."""
        log = self._folder / f"{name}.log"
        self._wait(lambda: text in log.read_text(), timeout_s, f"{name} has not said {text!r}")

    def _wait(self, condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        end = self._clock.mono_ns() + int(timeout_s * NS)
        while not condition():
            self.check()
            if self._clock.mono_ns() > end:
                raise EdgeAgentError(f"{complaint} after {timeout_s:.0f} s")
            self._clock.sleep_until(MonoNs(self._clock.mono_ns() + _POLL_NS))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def agent_command(*arguments: str) -> tuple[str, ...]:
    """This program's own command line, with what started this process: an installed package's folder is known
    to its launcher only."""
    started = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    if not started or Path(started[-1]).name not in ("edge-agent", "edge_agent"):
        started = ["-m", "edge_agent"]
    return (sys.executable, *started, *arguments)
