"""`python packaging/bundle.py`: edge-agent with the Debian packages it needs, one file per system.

For a gateway without network: `sudo sh edge-agent_VERSION_ARCHITECTURE_RELEASE.run`. Prints the path of each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builder import bundle, kernels, package, sources


def main() -> int:
    options = _parser().parse_args()
    failures = 0
    try:
        version, date_s = sources.version_of(sources.ROOT), sources.source_date()
        for architecture in options.arch or kernels.ARCHITECTURES:
            made = package.make(
                architecture, version, options.output, source=sources.ROOT, compression="xz", date_s=date_s
            )
            for release in options.release or bundle.RELEASES:
                failures += not _bundled(made, release, architecture, version, options.output, date_s)
    except sources.BuildError as error:
        print(f"bundle.py: error: {error}", file=sys.stderr)
        return 1
    return 1 if failures else 0


def _bundled(made: Path, release: str, architecture: str, version: str, output: Path, date_s: int) -> bool:
    """Whether the bundle could be made; a mirror that lacks one system does not keep the others back."""
    try:
        print(bundle.make(made, release, architecture, version, output, date_s), flush=True)
    except sources.BuildError as error:
        print(f"bundle.py: error: {architecture}, {release}: {error}", file=sys.stderr)
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python packaging/bundle.py", description=__doc__)
    parser.add_argument(
        "--arch", action="append", choices=kernels.ARCHITECTURES, help="may be repeated (default: all)"
    )
    parser.add_argument(
        "--release",
        action="append",
        choices=bundle.RELEASES,
        help="of Debian, may be repeated (default: all)",
    )
    parser.add_argument("--output", type=Path, default=sources.ROOT / "dist", metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
