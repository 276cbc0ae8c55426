"""Pure: topic aliases of one connection (MQTT 5.0, 3.3.2.3.4).

The few topics of the records come again with every one of them; two bytes in their place save about
forty a record. A topic is sent in full together with its alias until the broker has taken a message that
way: one that was refused may not have been looked at far enough to learn the alias.
"""

from __future__ import annotations


class TopicAliases:
    def __init__(self, most: int) -> None:
        """`most`: what the broker allows (0: none), or less."""
        self._most = most
        self._numbers: dict[str, int] = {}
        self._known: set[str] = set()
        """To the broker."""
        self._unproven: dict[int, str] = {}

    def of(self, topic: str) -> tuple[str, int]:
        """(What to send as topic, alias or 0)."""
        number = self._numbers.get(topic, 0)
        if not number and len(self._numbers) < self._most:
            number = self._numbers[topic] = len(self._numbers) + 1
        return ("" if topic in self._known else topic), number

    def sent(self, mid: int, topic: str) -> None:
        """A message to `topic` with its alias is on its way."""
        if topic not in self._known:
            self._unproven[mid] = topic

    def answered(self, mid: int, *, accepted: bool) -> None:
        topic = self._unproven.pop(mid, None)
        if topic is not None and accepted:
            self._known.add(topic)
