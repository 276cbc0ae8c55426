"""The helper as systemd runs it: signals, journal, lock."""

from __future__ import annotations

import logging
import signal

from edge_agent.clock import SystemClock
from edge_agent.daemon import systemd
from edge_agent.errors import UpdateError
from edge_agent.update.helper import Helper, Stopped
from edge_agent.update.store import Damaged, Store
from edge_agent.update.system import Machine

log = logging.getLogger(__name__)


def main(store: Store) -> int:
    """The exit status: 0 when there is nothing more to do, also after a version was put back."""
    systemd.setup_logging()
    asked: list[int] = []
    # Only noted: dpkg is not to be left in the middle, and a child is waited for through a signal.
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        with store.locked():
            Helper(store, Machine(), SystemClock(), stopping=lambda: bool(asked)).run()
    except Stopped:
        log.info("told to stop; the update goes on at the next start")
    except Damaged as error:
        # At the next boot it would be no better. Nobody knows what was to be done.
        log.error("%s; set aside, dpkg --audit says whether something was interrupted", error)
        store.give_up()
    except UpdateError as error:
        log.error("%s", error)
        return 1
    return 0
