"""The records the reference configuration makes, second by second: docs/configuration.md's example."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs, Quality, Send, Site, WallNs
from edge_agent.process.results import Result, Sample, Summary
from edge_agent.profiles import load_site
from edge_agent.records.values import EncodedRecord, Stamp
from edge_agent.records.writer import RecordWriter

_T0 = 1_700_000_000 * NS
_DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"


def reference_site() -> Site:
    """The example that stands first in the document."""
    import tempfile

    found = re.search(r"```toml\n(.*?)```", _DOCUMENT.read_text(), re.DOTALL)
    assert found
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(found[1])
        file.flush()
        return load_site(Path(file.name))


def reference_day(seconds: int) -> Iterator[list[tuple[str, bytes]]]:
    """(class, record) of every second, from the values of devices that answer."""
    site, rng = reference_site(), random.Random(1)
    writer = RecordWriter(site, b"\1" * 8, boot_id="00" * 16, counters=Counters())
    for second in range(1, seconds + 1):
        now = Stamp(WallNs(_T0 + second * NS), MonoNs(second * NS), True)
        results: list[Result] = []
        for number, point in enumerate(site.points):
            value = rng.gauss(100, 1)
            if point.send is Send.SUMMARY:
                if second * NS % site.window_ns == 0:
                    results.append(_summary(number, now, site.window_ns, value))
            elif second % max(1, (point.poll_ns or NS) // NS) == 0:
                results.append(Sample(number, now.mono_ns, now.wall_ns, value, Quality(0)))
        items = [*writer.add(results, now), *writer.flush(now, now.wall_ns)]
        yield [(item.stream, item.data) for item in items if isinstance(item, EncodedRecord)]


def _summary(point: int, now: Stamp, window_ns: int, value: float) -> Summary:
    start = WallNs(now.wall_ns - window_ns)
    low, high = value - 0.5, value + 0.5
    return Summary(point, start, now.wall_ns, 20, 0, 0, low, high, value, 0.25, low, high, Quality(0))
