"""Shared by the tests of records: fast kernels, and records of an earlier release."""

from __future__ import annotations

import pytest

from edge_agent import kernels
from edge_agent.errors import KernelError
from edge_agent.kernels import Kernels
from tests.unit.records import agreement


@pytest.fixture(scope="session")
def by() -> Kernels:
    """Damage is tried often; compiled kernels give the same as plain ones (test_columns.py)."""
    try:
        return kernels.load("native")
    except KernelError:
        return kernels.load("jit")


@pytest.fixture(scope="session")
def old_records(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return agreement.old_records(tmp_path_factory.mktemp("old"))
