from __future__ import annotations

import errno
import os

import pytest

from edge_agent.bus.ports.port_faults import refused


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.EACCES, "add the user to the group dialout"),
        (errno.EPERM, "the service may not use this driver"),
    ],
)
def test_missing_rights_of_the_user_and_of_the_service_are_told_apart(code, hint) -> None:
    error = refused("/dev/ttyMI0", OSError(code, os.strerror(code)))
    assert error.reason == "permission" and error.hint.startswith(hint)
