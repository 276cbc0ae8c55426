"""Whatever stands in a file, reading it ends in a site, a profile, or problems: never in anything else."""

from __future__ import annotations

import random

import pytest

from edge_agent import config
from edge_agent.errors import InputError
from edge_agent.profiles import Library, as_device, parse
from edge_agent.profiles.library import packaged
from edge_agent.profiles.resolve import resolve_into
from tests.conftest import ROOT

CONFIGURATIONS = [path.read_text() for path in sorted((ROOT / "tests/cases/config").glob("*/input.toml"))]
PROFILES = [path.read_text() for path in sorted((ROOT / "firmware_profiles").rglob("*.toml"))]
LIBRARY = Library([packaged()])

_VALUES = r"""
1 -1 0 1.5 true "x" "" [] {} [1,2] ["a"] [[1]] {a=1} nan inf 99999999999999999999 2024-01-01 "500ms" "0s"
"1-12" "continuous" [["input",0,1]] [["input",0]] "*" "a.b" ["*"] {"0"="x"} [{median={samples=5}}] "v_#"
[1,1] [7,2] "eastron/sdm630" "\u0000" "\u001b" "u64" "bool" "string" "holding" "on_demand" {u16=[1]}
"""
_KEYS = """
unit_id unit_ids profile points point poll filter bits enum flags invalid plausible area address type length
group alias index stride role id when set remove extends raw value test variant identify quirks serial tcp
above outside deadband url window periods base policy sources link also fc43 match forbidden read_whole
"""
VALUES, KEYS = _VALUES.split(), _KEYS.split()
HEADERS = ["[{}]", "[[{}]]", "[device.m.point.{}]", "[bus.{}]"]


def mutated(text: str, rnd: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(rnd.randint(1, 5)):
        at = rnd.randrange(len(lines))
        key, equals, value = lines[at].partition("=")
        match rnd.randrange(6):
            case 0 if equals:
                lines[at] = f"{key}= {rnd.choice(VALUES)}"
            case 1 if equals:
                lines[at] = f"{rnd.choice(KEYS)} ={value}"
            case 2:
                lines.insert(at, f"{rnd.choice(KEYS)} = {rnd.choice(VALUES)}")
            case 3:
                lines.insert(at, rnd.choice(HEADERS).format(rnd.choice(KEYS)))
            case 4:
                lines.insert(at, rnd.choice(lines))
            case _:
                lines[at] = ""
    return "\n".join(lines)


def load_configuration(text: str) -> None:
    loaded, report = config.read(text.encode(), "f", lambda: "x")
    resolve_into(loaded, LIBRARY, report)
    report.raise_if_any()


def load_profile(text: str) -> None:
    as_device(parse(text.encode(), "f"), name="n", bus="b", unit_id=1)


@pytest.mark.parametrize(("load", "texts"), [(load_configuration, CONFIGURATIONS), (load_profile, PROFILES)])
def test_any_mixture_of_keys_and_values_ends_in_problems_or_a_result(load, texts, seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(600):
        text = mutated(rnd.choice(texts), rnd)
        try:
            load(text)
        except InputError as error:
            assert all(str(problem).replace("\n", "").isprintable() for problem in error.problems)
