"""`python -m edge_agent.kernels.build`: compile the kernel library of this machine, or of others."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact, golden
from edge_agent.kernels.build.targets import TARGETS
from edge_agent.kernels.catalogue import all_kernels

# Read by numba when it is imported: nothing of this machine's CPU may get into the code, the passes
# that count run in the back end, and threads and caches are of no use here.
_NUMBA = {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_NUM_THREADS": "1"}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.write_golden:
        from edge_agent.kernels.build import scenario

        golden.FILE.write_text(golden.text(scenario.write()))
        print(golden.FILE)
        return 0
    os.environ.update(_NUMBA)
    try:
        from edge_agent.kernels.build import library

        names = options.target or [artifact.host_architecture()]
        written = library.build(all_kernels(), [TARGETS[name] for name in names], options.output)
    except KernelError as error:
        print(f"edge_agent.kernels.build: error: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        hint = "pip install 'edge-agent[kernels]'"
        print(f"edge_agent.kernels.build: error: {error}\n    hint: {hint}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path} ({path.stat().st_size} bytes)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge_agent.kernels.build", description=__doc__)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(artifact.__file__).with_name("_native"),
        metavar="DIR",
        help="where the libraries go (default: where the agent looks for them)",
    )
    parser.add_argument(
        "--target",
        action="append",
        choices=sorted(TARGETS),
        help="architecture to compile for, may be repeated (default: this machine's)",
    )
    parser.add_argument(
        "--write-golden",
        action="store_true",
        help="write the self-test's vectors anew from the plain kernels, and build nothing",
    )
    return parser


sys.exit(main())
