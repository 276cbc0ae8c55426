"""Compiled judgement: every kernel written once, run natively, by numba's JIT or as plain Python.

The kernels themselves are `decode`, `filters`, `alarms`, `windows` and `judge`, on the tables of
`layout`; `registry` marks them, `catalogue` lists them. `build/` compiles them ahead of time, `loader`
opens the result (`artifact`), and `selftest` decides with the vectors of `golden` whether it may be
trusted on this machine. Nothing here knows devices, configuration or time: arrays in, arrays out.
"""

from __future__ import annotations

from edge_agent.kernels.loader import MODE_VARIABLE, Kernels, load

__all__ = ["MODE_VARIABLE", "Kernels", "load"]
