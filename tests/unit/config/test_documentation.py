"""docs/configuration.md and docs/profiles.md name every key, with the default the program uses."""

from __future__ import annotations

import re

import pytest

from edge_agent.config import keys, pointkeys
from edge_agent.config.load import ROOT as FILE
from edge_agent.config.schema import Key, Table
from edge_agent.profiles import keys as profile_keys
from tests.conftest import ROOT

CONFIGURATION = {
    "agent": keys.AGENT,
    "bus.NAME": keys.BUS,
    "bus.NAME.rs485": keys.RS485,
    "device.NAME": keys.DEVICE,
    "device.NAME.periods": keys.PERIODS,
    "device.NAME.point.NAME": pointkeys.POINT,
    "device.NAME.quirks": pointkeys.QUIRKS,
    "alarm.NAME": keys.ALARM,
    "summary": keys.SUMMARY,
    "samples": keys.SAMPLES,
    "uplink": keys.UPLINK,
    "spool": keys.SPOOL,
}


def section(document: str, heading: str) -> str:
    text = (ROOT / "docs" / document).read_text()
    match = re.search(rf"^#+ \[+{re.escape(heading)}\]+\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"docs/{document} has no section [{heading}]"
    return match[1]


def rows(text: str) -> dict[str, str]:
    return {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", text, re.MULTILINE)}


def written(key: Key) -> str:
    """A default as the documentation shows it, or an empty text."""
    match key.default:
        case None | [] | {}:
            return ""
        case bool():
            return "true" if key.default else "false"
        case float():
            return f"{key.default:g}"
        case _:
            return str(key.default)


def check(document: str, heading: str, table: Table) -> None:
    documented = rows(section(document, heading))
    assert set(documented) == set(table.keys)
    for name, key in table.keys.items():
        default = documented[name].split("|")[3]
        assert ("required" in default) == key.required, name
        assert written(key) in default, name


@pytest.mark.parametrize("heading", CONFIGURATION)
def test_every_key_of_a_configuration_is_documented(heading: str) -> None:
    check("configuration.md", heading, CONFIGURATION[heading])


@pytest.mark.parametrize("heading", [table.name for table in profile_keys.TABLES if table.name])
def test_every_key_of_a_profile_is_documented(heading: str) -> None:
    table = next(table for table in profile_keys.TABLES if table.name == heading)
    check("profiles.md", heading, table)


def test_every_filter_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name, (table, _) in pointkeys.FILTERS.items():
        for key in table.keys:
            assert f"| `{name}` | `{key}` |" in text


def test_every_table_is_documented() -> None:
    named = {heading.split(".")[0] for heading in CONFIGURATION}
    assert named == set(FILE.keys)


def test_every_unit_and_category_is_documented() -> None:
    text = (ROOT / "docs" / "profiles.md").read_text()
    for word in (*profile_keys.UNITS, *profile_keys.CATEGORIES, *profile_keys.ROLES, *profile_keys.STATUSES):
        assert f"`{word}`" in text, word
