"""Signatures and the registry."""

from __future__ import annotations

import pytest

from edge_agent.kernels.registry import KERNELS, POINTERS, SCALARS, Signature, kernel, parse_signature
from tests.unit.kernels import samples


def test_a_signature_is_read_with_every_type() -> None:
    text = f"f64({', '.join(SCALARS + POINTERS)})"
    assert parse_signature(text) == Signature("f64", SCALARS + POINTERS)
    assert parse_signature("void()") == Signature("void", ())


@pytest.mark.parametrize(
    "text", ["", "f64", "f32(i64)", "f64(i32)", "f64(i64,)", "f64(i64", "u8*(i64)", "f64(i64 *)"]
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="kernel"):
        parse_signature(text)


def test_a_kernel_is_its_own_plain_twin() -> None:
    assert KERNELS["sample_division"].function is samples.sample_division
    assert samples.sample_division(7, 2) == 3 * 1000003 + 1


def test_two_kernels_of_one_name_are_refused() -> None:
    def sample_division(a, b):
        return a

    with pytest.raises(ValueError, match="sample_division is defined twice"):
        kernel("i64(i64, i64)")(sample_division)
