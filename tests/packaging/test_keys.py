"""Certificates and keys of an installed gateway: root's alone, and used by the service all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.certificates import Authority
from tests.e2e.plant import CONFIG
from tests.packaging.operation import UNIT, Operation
from tests.rigs.gateway import Gateway
from tests.rigs.outside import Broker

KEYS = "/etc/edge-agent/keys"
URL = "mqtts://127.0.0.1:8883"
TLS = f"""url = "{URL}"
ca = "{KEYS}/ca.pem"
cert = "{KEYS}/client.pem"
key = "{KEYS}/client.key"
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def it(gw: Gateway, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    """Reading, its broker wants a certificate of the agent; the receiver listens beside it without one."""
    folder = tmp_path_factory.mktemp("keys")
    server = authority.issue("broker")
    options = ["listener 8883 127.0.0.1", f"cafile {authority.ca}", f"certfile {server.cert}"]
    options += [f"keyfile {server.key}", "require_certificate true"]
    it = Operation(gw, folder, config=CONFIG.replace('url = "{url}"\n', TLS))
    it.broker = Broker(gw, folder, options=options)
    give(gw, authority, "client")
    with it:
        it.begin()
        yield it


def give(gw: Gateway, authority: Authority, name: str) -> None:
    """A new key and certificate, as a person puts them there: readable by root only."""
    pair = authority.issue(name)
    for source, target in ((authority.ca, "ca.pem"), (pair.cert, "client.pem"), (pair.key, "client.key")):
        gw.copy_in(source, f"{KEYS}/{target}", mode=0o600)


def test_the_service_sends_by_tls_with_a_key_that_its_user_cannot_read(gw, it) -> None:
    uplink = it.status()["uplink"]
    assert uplink["broker"] == URL and not uplink["error"]
    assert it.status()["agent"]["state"] == "ok"
    refused = gw.run("cat", f"{KEYS}/client.key", user="edge-agent", check=False)
    assert "Permission denied" in refused.err
    name = f"/run/credentials/{UNIT}/keys_client.key"
    assert gw.enter("test", "-f", name, check=False).code == 0
    assert "Permission denied" in gw.run("cat", name, user="nobody", check=False).err


def test_its_kernels_are_native_although_memory_is_never_written_and_executed(gw, it) -> None:
    assert it.status()["agent"]["kernels"] == "native"
    assert gw.properties(UNIT, "MemoryDenyWriteExecute") == {"MemoryDenyWriteExecute": "yes"}


def test_the_journal_has_the_fields_of_an_entry(gw, it) -> None:
    said = gw.enter("journalctl", "-q", "-o", "cat", "BUS=line").out
    assert "bus line: /dev/ttyUSB0 115200 8N1 is open" in said


def test_a_renewed_key_is_used_from_the_next_start(gw, it, authority, tmp_path) -> None:
    other = Authority(tmp_path, "another-ca")
    pair = other.issue("client")
    # Of an authority that the broker does not know: it shows when it is used.
    gw.copy_in(pair.key, f"{KEYS}/client.key", mode=0o600)
    gw.copy_in(pair.cert, f"{KEYS}/client.pem", mode=0o600)
    it.broker.stop()
    it.broker.start()
    it.reads_again()
    gw.run("systemctl", "restart", UNIT)
    gw.wait(lambda: it.status().get("uplink", {}).get("error"), "the broker to refuse it")
    give(gw, authority, "client-2")
    gw.run("systemctl", "restart", UNIT)
    it.reads_again()


def test_a_key_that_came_after_the_start_asks_for_a_restart(gw, it) -> None:
    gw.enter("rm", f"{KEYS}/client.key")
    gw.run("systemctl", "restart", UNIT)
    gw.wait(lambda: it.status().get("uplink", {}).get("error"), "the missing key to be said")
    # The folder is root's: its user does not even see that the file is missing.
    assert f"key {KEYS}/client.key: Permission denied" in it.status()["uplink"]["error"]
    assert it.status()["uplink"]["hint"].startswith("restart the service")


@pytest.mark.parametrize("state", ["empty", "missing"])
def test_without_keys_the_service_starts_as_well(gw, it, state) -> None:
    gw.enter("sh", "-ec", f"rm -rf {KEYS}" + (f"; mkdir -m 700 {KEYS}" if state == "empty" else ""))
    gw.run("systemctl", "restart", UNIT)
    gw.wait(lambda: it.status().get("uplink", {}).get("error"), "the missing key to be said")
    assert gw.properties(UNIT, "ActiveState") == {"ActiveState": "active"}
