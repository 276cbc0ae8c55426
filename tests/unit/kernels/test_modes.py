"""Native, JIT and plain Python: the same calls, the same bits, and the golden vectors that say so."""

from __future__ import annotations

import ctypes
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import KernelError
from edge_agent.kernels import Kernels, artifact, golden, intrinsics, jit, load, plain
from edge_agent.kernels.build import library, scenario
from edge_agent.kernels.build.targets import TARGETS
from edge_agent.kernels.catalogue import all_kernels
from edge_agent.kernels.loader import open_library
from tests.unit.kernels import samples

GOOD = samples.kernels_of(*samples.GOOD)

halves = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 0x7FF00000, 0xFFF00000, 0x80000000]))
i64 = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kernels]:
    """The sample kernels in all modes."""
    [path] = library.build(GOOD, [TARGETS[artifact.host_architecture()]], tmp_path_factory.mktemp("modes"))
    functions = {
        "native": open_library(path, GOOD),
        "jit": jit.functions(GOOD),
        "python": plain.functions(GOOD),
    }
    return {mode: Kernels(mode, each) for mode, each in functions.items()}


def _same(modes: dict[str, Kernels], name: str, *arguments: float) -> None:
    results = {mode: _bits(getattr(kernels, name)(*arguments)) for mode, kernels in modes.items()}
    assert len(set(results.values())) == 1, results


def _bits(value: float) -> bytes:
    if isinstance(value, float):
        # Which of the NaNs an operation makes is the processor's choice.
        return b"nan" if math.isnan(value) else struct.pack("<d", value)
    return struct.pack("<q", value)


# --- the agent's kernels ----------------------------------------------------------------------


def test_every_mode_offers_exactly_the_exported_kernels(kernel_set: Kernels) -> None:
    exported = {name for name, kernel in all_kernels().items() if kernel.exported}
    assert set(vars(kernel_set)) - {"mode"} == exported
    with pytest.raises(AttributeError, match="'smooth'"):
        _ = kernel_set.smooth


def test_every_mode_gives_the_golden_bits(kernel_set: Kernels) -> None:
    assert golden.replay(vars(kernel_set), golden.read()) == ""


def test_the_golden_vectors_are_those_of_the_kernels_as_they_are() -> None:
    hint = "run `python -m edge_agent.kernels.build --write-golden` and look at the difference"
    assert golden.text(scenario.write()) == golden.FILE.read_text(), hint


def test_the_golden_vectors_call_every_exported_kernel_that_only_computes() -> None:
    called = {call[0] for call in golden.read()["calls"]}
    exported = {name for name, kernel in all_kernels().items() if kernel.exported and not kernel.system}
    assert called == exported
    assert {name for name, kernel in all_kernels().items() if kernel.system} == {"talk"}


def test_the_golden_tables_hold_no_nan_because_its_bits_differ_between_processors() -> None:
    after = golden.read()["after"].values()
    assert not [cell for _, _, cells in after for cell in cells.values() if cell == "nan"]


# --- choosing a mode --------------------------------------------------------------------------


def test_the_environment_chooses_and_an_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AGENT_KERNELS", "python")
    assert load().mode == "python"
    monkeypatch.setenv("EDGE_AGENT_KERNELS", "fast")
    assert load("python").mode == "python"
    with pytest.raises(KernelError, match="native, jit, python"):
        load()


# --- what the compiler promises ---------------------------------------------------------------


@settings(max_examples=50)
@given(high=halves, low=halves)
def test_bits_become_the_same_numbers_in_every_mode(modes: dict[str, Kernels], high: int, low: int) -> None:
    _same(modes, "sample_single", high)
    _same(modes, "sample_double", high, low)
    _same(modes, "sample_integer", high, low)


@settings(max_examples=50)
@given(x=st.floats())
def test_float_intrinsics_agree_in_every_mode(modes: dict[str, Kernels], x: float) -> None:
    _same(modes, "sample_is_finite", x)
    _same(modes, "sample_sqrt", abs(x))
    _same(modes, "sample_exp", -abs(x))


@settings(max_examples=50)
@given(a=i64, b=st.integers(1, 2**63 - 1))
def test_integer_division_floors_in_every_mode(modes: dict[str, Kernels], a: int, b: int) -> None:
    small = a % 2**30 - 2**29
    _same(modes, "sample_division", small, b)


@settings(max_examples=50)
@given(words=st.tuples(*[st.integers(0, 0xFFFF)] * 2), flags=st.tuples(*[st.integers(0, 255)] * 2))
def test_small_integers_behave_like_python_integers_in_every_mode(
    modes: dict[str, Kernels], words: tuple[int, int], flags: tuple[int, int]
) -> None:
    results = set()
    for kernels in modes.values():
        array = (ctypes.c_uint8 * 2)(*flags)
        results.add((kernels.sample_small_integers((ctypes.c_uint16 * 2)(*words), array), bytes(array)))
    assert len(results) == 1


def test_arrays_are_written_in_place_in_every_mode(modes: dict[str, Kernels]) -> None:
    for kernels in modes.values():
        integers, floats = (ctypes.c_int64 * 3)(-3, 0, 2**53 + 1), (ctypes.c_double * 3)()
        assert kernels.sample_fill(integers, floats, 3) is None
        assert (list(integers), list(floats)) == ([3, 2, 1], [-1.5, 0.0, 2.0**52])


@settings(max_examples=300)
@given(x=st.one_of(st.floats(-708.0, 0.0), st.floats(-1.0, 0.0), st.floats(-1e-9, 0.0)))
def test_exp_is_within_one_unit_in_the_last_place(x: float) -> None:
    exact = math.exp(x)
    assert abs(intrinsics.exp(x) - exact) <= math.ulp(exact)


def test_exp_at_its_ends() -> None:
    assert intrinsics.exp(0.0) == intrinsics.exp(-0.0) == 1.0
    assert intrinsics.exp(-708.0) > 0.0
    assert intrinsics.exp(math.nextafter(-708.0, -math.inf)) == 0.0
    assert intrinsics.exp(-math.inf) == 0.0
    assert math.isnan(intrinsics.exp(math.nan))
