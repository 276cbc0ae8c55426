"""Builds this machine's kernel library into the wheel, so that an installed agent needs no compiler.

A wheel is for one architecture and any Python 3: the library knows neither Python's ABI nor a C
library's version. Editable installs skip it, because there `make kernels` puts the library beside the
sources. The compiler (numba, llvmlite) is a requirement of the build and not of the package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelBuildHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        # Not into the source tree: a wheel's build must leave it as it was.
        self._folder = Path(mkdtemp(prefix="edge-agent-wheel-"))
        command = [sys.executable, "-m", "edge_agent.kernels.build", "--output", str(self._folder)]
        subprocess.run(command, cwd=self.root, check=True)
        for library in self._folder.iterdir():
            build_data["force_include"][str(library)] = f"edge_agent/kernels/_native/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if version != "editable":
            shutil.rmtree(self._folder)


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
