"""The examples of docs/record-format.md: records in hex, and what stands beside some of them as Python."""

from __future__ import annotations

import re
from typing import Any

from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "record-format.md").read_text()
EXAMPLES = {
    name: bytes.fromhex("".join(text.split()))
    for name, text in re.findall(r"```hex ([a-z-]+)\n(.*?)```", DOCUMENT, re.DOTALL)
}
SAID = dict(re.findall(r"```python ([a-z-]+)\n(.*?)```", DOCUMENT, re.DOTALL))


def said(name: str) -> dict[str, Any]:
    """`until`, `rows` and what else the Python beside an example defines."""
    names: dict[str, Any] = {}
    exec(compile(SAID[name], f"docs/record-format.md, {name}", "exec"), names)
    return names
