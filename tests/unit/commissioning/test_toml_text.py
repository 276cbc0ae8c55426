"""Text from outside in a TOML file."""

from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.commissioning.toml_text import MOST_COMMENT, comment, harmless, quoted
from tests.unit.commissioning.factory import any_text


@given(any_text)
def test_a_quoted_text_reads_back_as_it_was(text):
    assert tomli.loads(f"key = {quoted(text)}")["key"] == text


@given(st.text(max_size=400) | any_text, st.integers(10, 300))
def test_harmless_text_is_one_printable_line_of_bounded_length(text, most):
    shown = harmless(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    shown.encode()


def test_plain_text_is_left_as_it_is():
    assert harmless("Zähler 3, \u7535\u8868") == "Zähler 3, \u7535\u8868"


@given(any_text)
def test_a_comment_is_nothing_but_comment(text):
    lines = list(comment(text))
    assert all(line.startswith("# ") and line.isprintable() and len(line) < 80 for line in lines)
    assert tomli.loads("\n".join(lines)) == {}


def test_what_was_cut_off_is_marked():
    assert harmless("x" * (MOST_COMMENT + 1)).endswith("...")
