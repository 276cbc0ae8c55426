"""A start on trial: which configuration it runs, what is said about it, and when it is proven good.

The shell of `safe_mode`: reads the configuration and the state folder, and is told of health by the agent.

    begin(file, state folder) -> Trial with its site -> started -> turn (each second) -> ended
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent import __version__
from edge_agent.clock import boot_id
from edge_agent.config import toml
from edge_agent.daemon.last_good import StateFolder, Texts
from edge_agent.daemon.safe_mode import Cause, Circumstances, Decision, Proof, decide, proven
from edge_agent.errors import InputError, Problem
from edge_agent.model import MonoNs, Site
from edge_agent.profiles import Library, default_library, packaged, site_of

log = logging.getLogger(__name__)

SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    """A sound configuration."""

    site: Site
    texts: Texts


class Trial:
    """One per run. Without a state folder nothing is remembered: the present file runs, or nothing does."""

    def __init__(
        self, chosen: _Read, decision: Decision | None, folder: StateFolder | None, said: str
    ) -> None:
        self.site = chosen.site
        self._texts = chosen.texts
        self._decision = decision
        self._folder = folder
        self._said = said
        self._proof = Proof()
        self._proving: threading.Thread | None = None

    def problems(self) -> Sequence[str]:
        """What people are told of for as long as it holds."""
        return [self._said] if self._said else []

    def started(self) -> None:
        """From here on the run counts as crashed until it is proven or ends in order."""
        if self._folder is not None and self._decision is not None:
            self._folder.remember(self._decision.memory)

    def turn(self, now: MonoNs, *, healthy: bool) -> None:
        """A look at the running agent, about once a second."""
        if self._proving is None and self._proof.look(now, healthy=healthy):
            # Beside the supervision: a disk that takes a minute for it is no reason to starve the watchdog.
            self._proving = threading.Thread(target=self._prove, name="last-good", daemon=True)
            with suppress(RuntimeError):
                # No thread to be had: then this run proves nothing.
                self._proving.start()

    def settle(self, timeout_s: float) -> None:
        """Wait for what a proof stores, but no longer."""
        if self._proving is not None and self._proving.is_alive():
            self._proving.join(timeout_s)

    def ended(self, status: int) -> None:
        """The run is over; with status 0 by order, which is a clean slate for the next one."""
        self.settle(SETTLE_S)
        if self._folder is not None and status == 0:
            self._folder.remember(None)

    def _prove(self) -> None:
        if self._folder is None or self._decision is None:
            return
        self._folder.remember(proven(self._decision))
        if self._decision.runs_good:
            return
        self._said = ""
        # By its content: a copy that the disk has damaged is written again.
        if self._folder.good() != self._texts:
            self._folder.keep(self._texts)
            log.info("this configuration is now the last good one")


def begin(path: Path, state_dir: Path | None) -> Trial:
    """The configuration that this start is to run. InputError when the file `path` is wrong and there is no
    last good one, and always when it is not there: who takes it away wants nothing to run."""
    folder = StateFolder(state_dir) if state_dir is not None else None
    try:
        present = _read(toml.read(path), str(path), default_library())
    except InputError as error:
        if _is_missing(path):
            raise _missing(path) from None
        if folder is None:
            raise
        return _instead(error, folder)
    if folder is None:
        return Trial(present, None, None, "")
    return _chosen(present, folder)


def _instead(error: InputError, folder: StateFolder) -> Trial:
    """A file that is wrong: the last good configuration, or the error."""
    good = _good(folder)
    if good is None:
        raise error
    decision = decide(folder.memory(), None, good.texts.identity, _here())
    assert decision is not None, "there is a good one"
    for problem in error.problems:
        log.error("%s", problem)
    return Trial(good, decision, folder, _wrong(error))


def _chosen(present: _Read, folder: StateFolder) -> Trial:
    memory, identity = folder.memory(), present.texts.identity
    decision = decide(memory, identity, folder.good_identity(), _here())
    if decision is not None and decision.runs_good:
        good = _good(folder)
        if good is not None:
            return Trial(good, decision, folder, _crashed(decision))
        decision = decide(memory, identity, None, _here())
    assert decision is not None, "there is a present one"
    return Trial(present, decision, folder, _crashed(decision))


def _good(folder: StateFolder) -> _Read | None:
    """The last good configuration, if this version still understands it."""
    texts = folder.good()
    if texts is None:
        return None
    library = Library([packaged(), folder.good_config.parent / "profiles"])
    try:
        return _read(texts.config, str(folder.good_config), library)
    except InputError as error:
        log.warning("the last good configuration is not good any more: %s", error.problems[0])
        return None


def _read(data: bytes, file: str, library: Library) -> _Read:
    site = site_of(data, file, library)
    return _Read(site, Texts(data, library.own()))


def _here() -> Circumstances:
    return Circumstances(boot_id(), __version__)


def _is_missing(path: Path) -> bool:
    """A file in a folder that may not be searched is there, for all we know."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _missing(path: Path) -> InputError:
    hint = "sudo edge-agent init asks for what it needs and writes it"
    return InputError([Problem(file=str(path), line=0, key="", message="does not exist", hint=hint)])


def _wrong(error: InputError) -> str:
    """Names the file only: who is far away has no use for its path."""
    first, more = error.problems[0], len(error.problems) - 1
    where = f"{Path(first.file).name}:{first.line}" if first.line else Path(first.file).name
    what = f"{first.key} {first.message}" if first.key else first.message
    rest = f" (and {more} more)" if more else ""
    return f"safe mode: {where}: {what}{rest}; the last good configuration runs"


def _crashed(decision: Decision) -> str:
    if decision.cause is not Cause.CRASHES:
        return ""
    times = f"the configuration failed {decision.crashes} times in a row within a minute of its start"
    if decision.runs_good:
        return f"safe mode: {times}; the last good one runs until it is changed, or the service is restarted"
    return f"{times}; there is no other one that is known to be good"
