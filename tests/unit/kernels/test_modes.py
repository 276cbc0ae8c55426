"""All modes accept the same calls."""

from __future__ import annotations

import pytest

from edge_agent.errors import KernelError
from edge_agent.kernels import Kernels, load
from edge_agent.kernels.catalogue import all_kernels


def test_every_mode_offers_exactly_the_exported_kernels(kernel_set: Kernels) -> None:
    exported = {name for name, kernel in all_kernels().items() if kernel.exported}
    assert set(vars(kernel_set)) - {"mode"} == exported


def test_unknown_mode_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AGENT_KERNELS", "fast")
    with pytest.raises(KernelError, match="native, jit, python"):
        load()
