"""Pure: what PostgreSQL's error codes (appendix A of its documentation) mean for what is to be done."""

from __future__ import annotations

from edge_agent.receiver.database.door import Away, Busy, Refused, StoreError

_KINDS: dict[str, type[StoreError]] = {
    "08": Away,  # connection
    "22": Refused,  # data
    "23": Refused,  # constraint
    "25006": Away,  # read-only: a standby that will be the primary soon, or an administrator's order
    "40": Busy,  # deadlock, serialization
    "53": Away,  # resources: disk, memory, connections
    "54": Refused,  # limits of the program
    "55P03": Away,  # a lock that somebody holds
    "57": Away,  # operator: shutdown, a statement that took too long
    "58": Away,  # its system: disk errors
}
_HINTS = {
    "53100": "the disk of the database is full; drop_before() frees what is old",
    "42501": "the user must be allowed to create tables in the schema",
}


def meaning(state: str, words: str) -> StoreError:
    """The error for the five characters of SQLSTATE."""
    kind = _KINDS.get(state) or _KINDS.get(state[:2]) or StoreError
    hint = f"\n    hint: {_HINTS[state]}" if state in _HINTS else ""
    return kind(words + hint)
