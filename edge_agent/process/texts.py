"""Points of type `string`: what the kernels do not do. A text is never filtered or judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_agent.kernels.layout import NEVER
from edge_agent.model import GOOD, STALE, Order, Quality


def decode_text(data: bytes, order: Order) -> str:
    """Two characters a register, up to the first NUL, without the padding around them.

    Of the byte order only the swap within a register applies; a text has no low word. Bytes that are
    no UTF-8 and characters that do not print become U+FFFD, because a device's text ends on terminals.
    """
    if order.bytes_swapped:
        swapped = bytearray(len(data))
        swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
        data = bytes(swapped)
    text = data.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text.strip())


@dataclass(slots=True)
class Text:
    """The state of one text point."""

    value: str | None = None
    quality: Quality = STALE
    poll_ns: int = NEVER
    good_value: str | None = None
    good_ns: int = NEVER
    changed: bool = False
    """Whether the last poll differs in value or quality from what was said before."""

    def take(self, value: str | None, quality: Quality, mono_ns: int) -> None:
        """One poll; `value` is None when `quality` is bad."""
        before = (self.good_value, self.quality if self.poll_ns != NEVER else None)
        self.value, self.quality, self.poll_ns = value, quality, mono_ns
        if quality == GOOD:
            self.good_value, self.good_ns = value, mono_ns
        self.changed = before != (self.good_value, quality)

    def copy(self) -> Text:
        return replace(self)
