"""JSON as every reader takes it. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from edge_agent.errors import EdgeAgentError


def dumps(data: Any, indent: int | None = None) -> str:
    """JSON knows no NaN and no infinity: null stands for them."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), indent=indent, allow_nan=False)


def error(failure: EdgeAgentError) -> dict[str, str]:
    """Why a command failed: `reason` in one word, `message` and `hint` as on stderr."""
    message, _, hint = str(failure).partition("\n    hint: ")
    return {"reason": getattr(failure, "reason", "failed"), "message": message, "hint": hint}


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
