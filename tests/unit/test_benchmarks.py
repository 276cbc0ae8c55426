"""Published figures are what they claim to be: documented shape, honest verdicts, a place in the README."""

from __future__ import annotations

import importlib.util
import json
import operator
import re
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
RESULTS = sorted((BENCHMARKS / "results").glob("*.json"))
README = (ROOT / "README.md").read_text()


def _tables() -> ModuleType:
    """benchmarks/tables.py: a script, in no package."""
    spec = importlib.util.spec_from_file_location("tables", BENCHMARKS / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = _tables()
COMPARISONS = {"<=": operator.le, ">=": operator.ge}


@pytest.fixture(params=RESULTS, ids=lambda path: path.stem)
def name(request) -> str:
    return request.param.stem


@pytest.fixture
def result(name) -> dict[str, Any]:
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text())


def test_there_are_results() -> None:
    assert {path.stem for path in RESULTS} >= {"bus", "footprint", "kernels"}


def test_a_result_says_where_when_and_how_it_was_measured(name, result) -> None:
    assert set(result) == {"machine", "date", "command", "rows"}
    assert re.fullmatch(r".+, \d+ cores, .+ GiB, Linux \S+, Python \S+, load \S+", result["machine"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    assert result["command"].startswith(f"python benchmarks/{name}.py")
    assert result["rows"]


def test_the_command_of_a_result_is_a_script_that_exists(name) -> None:
    assert (BENCHMARKS / f"{name}.py").is_file()


def test_a_row_has_the_documented_fields(result) -> None:
    for row in result["rows"]:
        assert set(row) == {"claim", "value", "unit", "peers", "budget", "met"}
        assert row["claim"]
        assert row["unit"]
        assert all(isinstance(value, int | float) for value in [row["value"], *row["peers"].values()])


def test_claims_are_told_apart(result) -> None:
    claims = [row["claim"] for row in result["rows"]]
    assert len(claims) == len(set(claims))


def test_a_budget_is_met_exactly_when_its_value_says_so(result) -> None:
    for row in result["rows"]:
        if not row["budget"]:
            assert row["met"] is None
            continue
        comparison, limit = row["budget"].split()
        assert row["met"] is COMPARISONS[comparison](row["value"], float(limit)), row["claim"]


def test_the_readme_has_a_place_for_every_result_and_holds_its_figures(name, result) -> None:
    begin = f"<!-- benchmark {name}: made by benchmarks/tables.py -->"
    assert README.count(begin) == 1
    table = README.split(begin)[1].split("<!-- end -->")[0]
    details = [row for row in result["rows"] if tables.is_detail(result, row)]
    assert all(not row["budget"] for row in details), "what is promised is shown"
    for row in result["rows"]:
        assert (f"| {row['claim']} | " in table) is (row not in details), row["claim"]
    assert (f"{len(details)} more rows are in benchmarks/results/{name}.json" in table) is bool(details)
    assert result["machine"] in table, "run benchmarks/tables.py --write"


def test_the_readme_names_no_benchmark_that_has_no_result() -> None:
    named = set(re.findall(r"<!-- benchmark (\w+):", README))
    assert named == {path.stem for path in RESULTS}
