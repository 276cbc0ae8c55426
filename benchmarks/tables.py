"""Writes the README's tables from benchmarks/results/*.json, so that no figure is typed by hand.

python benchmarks/tables.py            print the tables
python benchmarks/tables.py --write    put them into README.md between their markers
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BEGIN = "<!-- benchmark {name}: made by benchmarks/tables.py -->"
END = "<!-- end -->"
DETAILS = {"bus": ("idle beyond t3.5", "processor", "the slave:"), "records": ("batches of 10 s",)}
"""Rows whose claim has one of these words in it stand in the result file only: the README is to be read."""


def table(result: dict[str, Any]) -> str:
    """One result file as a Markdown table with its machine, date and command."""
    lines = [
        "| what | measured | peers in the same run | budget | met |",
        "|---|---|---|---|---|",
    ]
    details = [row for row in result["rows"] if is_detail(result, row)]
    for row in result["rows"]:
        if row in details:
            continue
        peers = ", ".join(f"{name} {_number(value)}" for name, value in row.get("peers", {}).items())
        budget = row.get("budget") or "-"
        met = {True: "yes", False: "**no**", None: "-"}[row.get("met")]
        lines.append(
            f"| {row['claim']} | {_number(row['value'])} {row['unit']} | {peers or '-'} | {budget} | {met} |"
        )
    if details:
        lines += ["", f"{len(details)} more rows are in benchmarks/results/{_name(result)}.json."]
    lines += ["", f"{result['machine']}; {result['date']}; `{result['command']}`"]
    return "\n".join(lines)


def _name(result: dict[str, Any]) -> str:
    return Path(result["command"].split()[1]).stem


def is_detail(result: dict[str, Any], row: dict[str, Any]) -> bool:
    return not row.get("budget") and any(words in row["claim"] for words in DETAILS.get(_name(result), ()))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def fill(text: str) -> str:
    """`text` with every marked table replaced by the one its result file gives."""
    for path in sorted(RESULTS.glob("*.json")):
        begin = BEGIN.format(name=path.stem)
        if begin not in text:
            continue
        before, rest = text.split(begin, 1)
        _, after = rest.split(END, 1)
        text = f"{before}{begin}\n{table(json.loads(path.read_text()))}\n{END}{after}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="update README.md")
    options = parser.parse_args()
    if options.write:
        readme = ROOT / "README.md"
        readme.write_text(fill(readme.read_text()))
    else:
        for path in sorted(RESULTS.glob("*.json")):
            print(f"## {path.stem}\n{table(json.loads(path.read_text()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
