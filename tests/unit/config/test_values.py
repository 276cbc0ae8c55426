"""Durations, sizes, formats, unit ids and addresses: what is understood, and what is not."""

from __future__ import annotations

import pytest

from edge_agent.config import values
from edge_agent.model import Parity


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0s", 0), ("1us", 1000), ("1750us", 1_750_000), ("500ms", 500_000_000), ("1.5s", 1_500_000_000),
        ("0.1ms", 100_000), ("2m", 120 * 10**9), ("1h", 3600 * 10**9), ("1d", 86400 * 10**9),
    ],
)  # fmt: skip
def test_durations(text: str, ns: int) -> None:
    assert values.duration_ns(text) == ns
    assert values.duration_ns(values.show_duration(ns)) == ns


def test_a_duration_is_shown_in_its_largest_whole_unit() -> None:
    shown = [values.show_duration(ns) for ns in (0, 7, 1_500_000, 90 * 10**9, 120 * 10**9, 86400 * 10**9)]
    assert shown == ["0s", "7ns", "1500us", "90s", "2m", "1d"]


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5 s", "-1s", "1e3s", "1S", "1min", ".5s", "1.s", "1h30m", "１s", "9999999999s", "1s\n"],
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        values.duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("1KB", 1000), ("512MiB", 512 << 20), ("1GB", 10**9), ("1GiB", 1 << 30), ("2TiB", 2 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "512", "512M", "1.5GB", "1 GB", "-1B", "1kB"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        values.size_bytes(text)


def test_character_formats() -> None:
    assert values.character_format("8N1") == (8, Parity.NONE, 1)
    assert values.character_format("8E1") == (8, Parity.EVEN, 1)
    assert values.character_format("8O2") == (8, Parity.ODD, 2)
    for text in ("", "8n1", "9N1", "8N3", "8X1", "8N1.5", "7E1"):
        with pytest.raises(ValueError, match=r"format|7 data bits"):
            values.character_format(text)


def test_unit_ids() -> None:
    assert values.unit_ids("1-3,7, 5") == (1, 2, 3, 7, 5)
    assert values.unit_ids("9") == (9,)
    for text in ("", "1-", "a", "1,,2", "1-2-3", "3-1", "1-3,2", "1-256", "999", ",".join(["1"] * 300)):
        with pytest.raises(ValueError, match=r"unit id|backwards"):
            values.unit_ids(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("h", ("h", 502)),
        ("10.0.0.5:1", ("10.0.0.5", 1)),
        ("a-b.local:65535", ("a-b.local", 65535)),
        ("[::1]", ("::1", 502)),
        ("[fe80::1]:99", ("fe80::1", 99)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert values.host_and_port(text, 502) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "h:",
        ":1",
        "h:0",
        "h:65536",
        "h:x",
        "h:1:2",
        "::1",
        "[::1",
        "[]:1",
        "[::1]x",
        "[::1]:",
        "h/",
        "a b",
        "-h",
        "h:１",
    ],
)
def test_what_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        values.host_and_port(text, 502)


def test_a_shown_value_is_short_and_printable() -> None:
    nasty: list[object] = ["\x1b[2J" * 50, 10**400, {"\x07": 1}, ["a\nb"] * 20, float("nan"), True, "é"]
    for value in nasty:
        assert values.show(value).isprintable()
        assert len(values.show(value)) <= 60
