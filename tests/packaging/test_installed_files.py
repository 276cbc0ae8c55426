"""What an installation has made on the gateway beside the package's own files."""

from __future__ import annotations

from edge_agent import __version__
from tests.rigs.gateway import Gateway

FOLDER = f"/usr/lib/edge-agent/{__version__}"


def lines(gw: Gateway, *command: str) -> list[str]:
    return gw.run(*command).out.splitlines()


def compiled(gw: Gateway) -> list[str]:
    return lines(gw, "find", FOLDER, "-name", "*.pyc")


def test_every_module_is_compiled_for_the_python_that_is_there(gw: Gateway) -> None:
    [tag] = lines(gw, "python3", "-c", "import sys; print(sys.implementation.cache_tag)")
    sources = lines(gw, "find", FOLDER, "-name", "*.py")
    expected = {
        f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
        for folder, _, name in (path.rpartition("/") for path in sources)
    }
    assert set(compiled(gw)) == expected


def test_another_python_after_a_release_upgrade_gets_its_own(gw: Gateway) -> None:
    """Debian's python3 calls the hook when its default version changes."""
    before = compiled(gw)
    gw.run("sh", "-c", f"find {FOLDER} -name __pycache__ -exec rm -r {{}} +")
    assert compiled(gw) == []
    gw.run("/usr/share/python3/runtime.d/edge-agent.rtupdate", "rtupdate", "python3.10", "python3.11")
    assert sorted(compiled(gw)) == sorted(before)


def test_dpkg_finds_every_file_as_it_was_packed(gw: Gateway) -> None:
    assert lines(gw, "dpkg", "--verify", "edge-agent") == []


def test_the_folders_of_the_configuration_belong_to_whom_they_should(gw: Gateway) -> None:
    found = gw.files("/etc/edge-agent")
    assert found == {
        "/etc/edge-agent": "d 750 root:edge-agent ",
        "/etc/edge-agent/keys": "d 700 root:root ",
        "/etc/edge-agent/profiles": "d 750 root:edge-agent ",
    }


def test_the_service_is_neither_enabled_nor_started(gw: Gateway) -> None:
    state = gw.properties("edge-agent.service", "ActiveState", "UnitFileState", "LoadState")
    assert state == {"ActiveState": "inactive", "UnitFileState": "disabled", "LoadState": "loaded"}


def test_the_program_is_the_installed_one_whatever_pip_has_brought(gw: Gateway) -> None:
    """A library in /usr/local, where pip puts it as root, takes the place of Debian's for other programs."""
    [place] = lines(gw, "python3", "-c", "import site; print(site.getsitepackages()[0])")
    gw.write(f"{place}/serial/__init__.py", "raise ImportError('of pip')\n")
    assert gw.run("python3", "-c", "import serial", check=False).code != 0
    done = gw.run("edge-agent", "read", "--port", "/dev/nothing", "--unit-id", "1", "0", check=False)
    gw.run("rm", "-r", f"{place}/serial")
    assert "/dev/nothing" in done.err and "of pip" not in done.err
