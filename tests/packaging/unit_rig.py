"""The unit as it is, with probes in place of the agent: what its rules forbid, and what one rule less would.

    with probed(suite) as unit:
        unit.probe("chown")                                       # {"chown": "EPERM"}
        unit.probe("chown", without="SystemCallFilter=")          # {"chown": "allowed"}

Nothing is installed: unit and user are taken from packaging/files, as the package has them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.packaging.probes import ELSEWHERE
from tests.rigs import gateway, roots

FILES = ROOT / "packaging" / "files"
UNIT = FILES / "usr/lib/systemd/system/edge-agent.service"
SYSUSERS = FILES / "usr/lib/sysusers.d/edge-agent.conf"
_PROBES = Path(__file__).with_name("probes.py")
_DROPINS = "/etc/systemd/system/edge-agent.service.d"
_RESULT = "/var/lib/edge-agent/probes.json"

# World-writable or world-readable, so that nothing but the sandbox stands before them.
_PREPARE = """
mkdir -p /etc/edge-agent/keys /data/edge-agent /home/technician /root/open /usr/lib/modules/open
mkdir /usr/open /etc/open /srv/open
chown edge-agent: /data/edge-agent
chown root:edge-agent /etc/edge-agent; chmod 750 /etc/edge-agent; chmod 700 /etc/edge-agent/keys
chmod 1777 /usr/open /etc/open /srv/open
chmod 755 /root /home/technician
for file in /home/technician/notes /root/open/notes /tmp/of-another /var/tmp/of-another; do
  echo secret >$file; chmod 644 $file
done
echo secret >/etc/edge-agent/keys/client.key; chmod 600 /etc/edge-agent/keys/client.key
echo 127.0.0.9 gateway-of-a-test >>/etc/hosts
"""


@dataclass(frozen=True, slots=True)
class ProbedUnit:
    gw: gateway.Gateway

    def probe(self, *names: str, without: str = "") -> dict[str, str]:
        """What becomes of each probe under the unit; `without`: lines of a drop-in that take rules away.
        A probe that kills its process has no entry."""
        arguments = " ".join(f'"{name}"' for name in names)
        self._drop_in(
            f"ExecStart=\nExecStart=/usr/bin/python3 -I /usr/local/lib/probes.py {arguments}\n{without}"
        )
        self.gw.enter("rm", "-f", _RESULT)
        self.gw.enter("systemctl", "start", "edge-agent", check=False)
        if not self.gw.exists(_RESULT):
            return {}
        result: dict[str, str] = json.loads(self.gw.read(_RESULT))
        return result

    def ended_by(self) -> str:
        """The signal that ended the last probe."""
        return self.gw.properties("edge-agent", "ExecMainStatus")["ExecMainStatus"]

    def make_device(self, name: str, major: int, minor: int) -> str:
        path = f"/dev/{name}"
        self.gw.enter("rm", "-f", path)
        self.gw.enter("mknod", "-m", "666", path, "c", str(major), str(minor))
        return path

    def _drop_in(self, lines: str) -> None:
        # Oneshot: `start` returns when the probes are through.
        text = f"[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\n{lines}\n"
        self.gw.write(f"{_DROPINS}/50-probe.conf", text)
        self.gw.enter("systemctl", "daemon-reload")


@contextlib.contextmanager
def probed(suite: str) -> Iterator[ProbedUnit]:
    with gateway.boot(roots.unpacked(suite)) as gw:
        gw.copy_in(UNIT, f"/usr/lib/systemd/system/{UNIT.name}")
        gw.copy_in(SYSUSERS, f"/usr/lib/sysusers.d/{SYSUSERS.name}")
        gw.copy_in(_PROBES, "/usr/local/lib/probes.py")
        gw.enter("systemd-sysusers", SYSUSERS.name)
        gw.enter("sh", "-ec", _PREPARE)
        gw.write("/etc/edge-agent/agent.toml", "", owner="root:edge-agent", mode=0o640)
        reached = ("ip", "address", "add", ELSEWHERE, "dev", "lo")
        assert gw.popen_outside(*reached).wait() == 0
        yield ProbedUnit(gw)
