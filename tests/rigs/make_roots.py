"""All systems that the tests boot or unpack, made before the first test that needs one: `make roots`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.rigs import foreign_roots, roots

_AT_ONCE = 2
"""One is unpacked while another is fetched."""


def main() -> None:
    tasks = [partial(roots.unpacked, suite) for suite in roots.SUITES]
    tasks += [partial(foreign_roots.unpacked, architecture) for architecture in ("arm64", "armhf")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for made in [pool.submit(task) for task in tasks]:
            print(made.result())


if __name__ == "__main__":
    main()
