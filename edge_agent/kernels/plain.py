"""The mode `python`: the kernels' own bodies, uncompiled. Slow, and the meaning of all the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.kernels.registry import Kernel


def functions(kernels: Mapping[str, Kernel]) -> dict[str, Callable[..., Any]]:
    return {name: kernel.function for name, kernel in kernels.items() if kernel.exported}
