"""How near the bus comes to what its line can carry, and whether it keeps the silence between frames.

The whole daemon, connected to a real mosquitto, against the libraries people use, each a process of its
own on a line of its own, in turns. The far end is a slave in C (c/pacing_slave.c) that replies exactly t3.5
after a request and releases the reply at the line's pace. The line's limit is the least time that a
transaction can take: request, t3.5, reply, t3.5. How late the slave was with a reply's last byte is
measured and taken off; how late it sees a request is measured and left in, as it is for everybody.
"An ideal loop in C" does nothing but sleep, read and write: what it misses, the machine misses.

Needs mosquitto, cc, libmodbus-dev; with node and npm, modbus-serial is fetched and takes its turn.

python benchmarks/bus.py                 all
python benchmarks/bus.py many maps       parts of it, shown and not published
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import _bus_many
import _bus_maps
import _bus_timing
from _common import Row, publish, show
from _processes import Bench, broker

PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "timing": _bus_timing.rows,
    "many": _bus_many.rows,
    "maps": _bus_maps.rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with TemporaryDirectory() as name, broker(Path(name)) as url:
        bench = Bench(Path(name), url)
        rows = [row for part in chosen for row in PARTS[part](bench)]
    if len(chosen) == len(PARTS):
        return publish("bus", rows)
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
