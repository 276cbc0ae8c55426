"""Pure: when to try the broker again.

Exponential with full jitter, so that five hundred gateways that lost one broker do not come back in
step. The series starts over only after a connection that lasted: a broker that accepts and drops at
once would otherwise be asked every second for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.reasons import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffPolicy:
    floor_ns: int = NS
    cap_ns: int = 60 * NS
    lasted_ns: int = 2 * NS
    """A connection at least this old ends the series of failures. Short, because a link that
    is up for five seconds at a time must be used; a broker that hangs up early is `is_flapping`."""
    patient_ns: int = 120 * NS
    """Where asking again soon does harm: the client id is contested, or this client is banned. Two
    agents with one id would otherwise throw each other out every second."""


_PATIENT = frozenset({Cause.TAKEN_OVER, Cause.BANNED})
_FLAPS = 4
_FLAP_NS = 60 * NS
_LOGIN = frozenset({Cause.CREDENTIALS, Cause.NOT_AUTHORISED, Cause.CLIENT_ID})
_LOGIN_STEPS = 3
"""A refused login is not cured by asking at once, and brokers lock accounts: start further up."""


class Backoff:
    def __init__(self, policy: BackoffPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._failures = 0
        self._flaps = 0

    @property
    def is_flapping(self) -> bool:
        """The broker lets us in every time and soon hangs up: so do brokers that do not say why when
        another client takes the client id, and brokers that choke on what we send. Dialling at once
        again feeds both. A link that comes and goes looks different: attempts fail in between."""
        return self._flaps >= _FLAPS

    @property
    def failures(self) -> int:
        """In a row, since the last connection that lasted."""
        return self._failures

    def failed(self, cause: Cause) -> int:
        """Nanoseconds to wait after an attempt that brought no connection."""
        self._flaps = 0
        return self._failed(cause)

    def _failed(self, cause: Cause) -> int:
        self._failures += 1
        if cause in _LOGIN:
            self._failures = max(self._failures, _LOGIN_STEPS)
        return self._delay(cause)

    def lost(self, cause: Cause, since: MonoNs, now: MonoNs) -> int:
        """Nanoseconds to wait after a connection that was up from `since` to `now`."""
        if now - since >= self._policy.lasted_ns and cause not in _PATIENT:
            self._failures = 0
        self._flaps = self._flaps + 1 if cause is Cause.LOST and now - since < _FLAP_NS else 0
        return self._failed(cause)

    def _delay(self, cause: Cause) -> int:
        policy = self._policy
        if cause in _PATIENT or self.is_flapping:
            return policy.patient_ns // 2 + self._random.randrange(policy.patient_ns // 2 + 1)
        ceiling = min(policy.cap_ns, policy.floor_ns << min(self._failures - 1, 32))
        # Full jitter over [floor/2, ceiling]: not down to zero, so that an attempt never follows at once.
        return self._random.randrange(policy.floor_ns // 2, max(ceiling, policy.floor_ns) + 1)
