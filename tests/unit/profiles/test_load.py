"""A profile with a mistake in it fails with file, line, key and hint, all mistakes at once."""

from __future__ import annotations

import pytest

from edge_agent.errors import InputError
from edge_agent.profiles import Profile, parse

HEAD = """schema = 1
[profile]
id = "acme/meter"
title = "Meter"
vendor = "Acme"
models = ["M"]
category = "energy-meter"
revision = 1
status = "draft"
sources = [{ ref = "manual" }]
[link]
protocol = "modbus-rtu"
"""
POINT = '[[point]]\nid = "v"\narea = "input"\naddress = 0\ntype = "u16"\nunit = "V"\n'
TEST = "[[test]]\n"
FW2 = '[[variant]]\nid = "fw2"\nwhen = {}\n'
RANGE = '[quirks]\nforbidden = [["input", 0, 5]]\n'
LINE = HEAD.count("\n") + 1


def load(text: str) -> Profile:
    return parse(text.encode(), "p.toml", "acme/meter")


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(InputError) as caught:
        load(text)
    return [(problem.line, problem.key, problem.message) for problem in caught.value.problems]


def test_a_small_profile_loads() -> None:
    profile = load(HEAD + POINT)
    assert (profile.id, profile.link.unit, profile.points[0].poll) == ("acme/meter", None, "normal")


def test_an_index_makes_one_point_each_and_moves_the_address() -> None:
    index = '[[point]]\nid = "e_l#"\ntitle = "Energy L#"\nindex = [1, 2, 3]\narea = "input"\n'
    index += 'address = 10\ntype = "u32"\n'
    points = {point.name: point for point in load(HEAD + index).points}
    assert [(name, point.address) for name, point in points.items()] == [
        ("e_l1", 10),
        ("e_l2", 12),
        ("e_l3", 14),
    ]
    assert points["e_l3"].title == "Energy L3"
    wide = load(HEAD + index + "stride = 5\n").points
    assert [point.address for point in wide] == [10, 15, 20]


def test_the_role_gives_the_poll_class() -> None:
    text = (
        HEAD
        + POINT
        + 'role = "id"\n'
        + POINT.replace('"v"', '"w"').replace("= 0", "= 1")
        + 'role = "setting"\n'
    )
    assert [point.poll for point in load(text).points] == ["once", "on_demand"]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (POINT.replace("unit", "units"), 5, "point[0].units", "is not a known key"),
        (POINT.replace('"V"', '"Volt"'), 5, "point[0].unit", "is not a known unit"),
        (POINT + POINT, 7, "point[1].id", "makes a point v a second time"),
        (POINT.replace('"v"', '"v#"'), 1, "point[0].id", "needs # exactly when index is given"),
        (POINT + "index = [1]\n", 1, "point[0].id", "needs # exactly when index is given"),
        (POINT + "stride = 2\n", 6, "point[0].stride", "needs index beside it"),
        (POINT + 'poll = "1s"\n', 6, "point[0].poll", "must be one of fast"),
        (POINT + 'filter = []\n', 6, "point[0].filter", "is not a known key"),
        (POINT + "write = {}\n", 6, "point[0].write", "is not a known key"),
        (POINT + "[quirks]\nmax_read_words = 0\n", 7, "quirks.max_read_words", "must be 1 to 125"),
        (POINT + RANGE, 3, "point[0].address", "v: input 0 to 0 touches 0 to 5"),
        (POINT + TEST + 'point = "w"\nraw = [1]\nvalue = 1\n', 7, "test[0].point", "is not a point"),
        (POINT + TEST + 'point = "v"\nraw = [1, 2]\nvalue = 1\n', 8, "test[0].raw", "has 2 words"),
        (POINT + TEST + 'point = "v"\nraw = [1]\n', 6, "test[0]", "needs either value or invalid"),
        (POINT + '[[identify]]\nkey = "model"\n', 6, "identify[0]", "needs either area and address, or fc43"),
        (POINT + FW2 + 'set.w = { scale = 2 }\n', 9, "variant[0].set.w", "is not a point"),
        (POINT + FW2 + 'remove = ["w"]\n', 9, "variant[0].remove[0]", "is not a point"),
        (POINT + FW2 + 'set.v = { scale = "2" }\n', 9, "variant[0].set.v.scale", "must be a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, line: int, key: str, message: str) -> None:
    ((found_line, found_key, found_message),) = problems(HEAD + text)
    # Lines in the table count from the first line behind the head; the key is there or one above it.
    assert found_key == key
    assert found_message.startswith(message)
    assert found_line - LINE in (line - 1, line)


def test_all_mistakes_are_told_at_once() -> None:
    text = HEAD.replace('"acme/meter"', '"acme/other"').replace('"draft"', '"good"') + POINT.replace(
        "u16", "u17"
    )
    keys = [key for _, key, _ in problems(text)]
    assert keys == ["profile.id", "profile.status", "point[0].type"]


def test_another_schema_is_refused() -> None:
    assert problems(HEAD.replace("schema = 1", "schema = 2") + POINT)[0][:2] == (1, "schema")


def test_tables_in_their_place_are_kept_as_data() -> None:
    profile = load(
        HEAD
        + POINT
        + '[base]\nwhen = { firmware = "<2.0.0" }\n[policy]\nverified_up_to = "2.1"\n'
        + '[[identify]]\nkey = "model"\nfc43 = { code = 1, object = 1 }\nmatch = ["M", 7]\n'
        + '[[variant]]\nid = "fw2"\nwhen = { firmware = ">=2.0.0" }\nset.v = { scale = 2 }\n'
    )
    assert profile.base_when == {"firmware": "<2.0.0"}
    assert profile.policy["unknown_firmware"] == "safe_subset"
    assert profile.identify[0]["match"] == ("M", 7)
    assert profile.variants[0]["set"] == {"v": {"scale": 2}}
