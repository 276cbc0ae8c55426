"""The kernels in every mode. `kernel_set` runs a test once in each, with the same calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.errors import KernelError
from edge_agent.kernels import Kernels, artifact, load


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's library: the one `make kernels` made if it is fresh, else built for this session."""
    path = artifact.default_path()
    try:
        load("native")
    except KernelError:
        path = tmp_path_factory.mktemp("kernels") / path.name
        command = [sys.executable, "-m", "edge_agent.kernels.build", "--output", str(path.parent)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return path


@pytest.fixture(scope="session", params=["python", "jit", "native"])
def kernel_set(request: pytest.FixtureRequest) -> Kernels:
    """The kernels in one mode; a test that takes this runs three times."""
    if request.param == "native":
        return load("native", library=request.getfixturevalue("native_library"))
    return load(request.param)
