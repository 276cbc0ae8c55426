"""`python packaging/build.py`: the Debian packages of edge-agent, for any architecture on any machine.

Prints the path of each package. docs/packaging.md says what is in them and why.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builder import kernels, package, sources


def main() -> int:
    options = _parser().parse_args()
    try:
        version = sources.checked_version(options.version or sources.version_of(options.tree))
        date_s = sources.source_date()
        for architecture in options.arch or kernels.ARCHITECTURES:
            made = package.make(
                architecture,
                version,
                options.output,
                source=options.tree.resolve(),
                compression=options.compression,
                date_s=date_s,
            )
            print(made, flush=True)
    except sources.BuildError as error:
        print(f"build.py: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python packaging/build.py", description=__doc__)
    parser.add_argument(
        "--arch",
        action="append",
        choices=kernels.ARCHITECTURES,
        help="architecture, may be repeated (default: all)",
    )
    parser.add_argument("--version", help="call the program this version (default: what it calls itself)")
    parser.add_argument(
        "--compression",
        choices=("xz", "zstd"),
        default="xz",
        help="xz is smaller, zstd is done sooner (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=sources.ROOT / "dist",
        metavar="DIR",
        help="where the packages go (default: dist/)",
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=sources.ROOT,
        metavar="DIR",
        help="take the program (edge_agent/, firmware_profiles/) from another checkout",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
