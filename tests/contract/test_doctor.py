"""The doctor against the real thing: ports held by others, brokers with wrong certificates, full disks."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.bus.ports import owner
from edge_agent.cli import main
from edge_agent.clock import SystemClock
from edge_agent.doctor.access import User
from edge_agent.doctor.broker import judge as judge_broker
from edge_agent.doctor.probes import broker as broker_probe
from edge_agent.doctor.probes import disk as disk_probe
from edge_agent.doctor.probes import servers
from edge_agent.model import BusDef, SerialLink, Site, SpoolDef, TcpLink, UplinkDef
from tests.conftest import ROOT
from tests.contract.broker import Broker, Probe, free_port
from tests.contract.certificates import Authority
from tests.rigs import disks

needs_broker = pytest.mark.needs("mosquitto")
needs_disks = pytest.mark.skipif(bool(disks.why_not()), reason=disks.why_not() or "-")
NOT_A_SERVICE = User(name="root", uid=0, is_service=False)

CONFIG = """
[agent]
site = "plant"
id   = "hall"

[bus.line1]
{link}

[device.meter]
bus     = "line1"
unit_id = 1

[device.meter.point.power]
area    = "holding"
address = 0
type    = "u16"
poll    = "1s"

[uplink]
url = "{url}"
{login}

[spool]
path = "{spool}"
max_size = "{size}"
min_free = "1MiB"
"""


class Gateway:
    """A folder with a configuration, and the doctor run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.config = folder / "agent.toml"
        self.configure()

    def configure(
        self, *, link='serial = "/dev/ttyNONE"', url="mqtt://127.0.0.1:1", login="", size="8MiB"
    ) -> None:
        text = CONFIG.format(link=link, url=url, login=login, spool=self.spool, size=size)
        self.config.write_text(text)
        self.config.chmod(0o640)

    def doctor(self, capsys, *options: str):
        """Exit status, and the findings by check and subject."""
        capsys.readouterr()
        command = [
            "doctor",
            "--config",
            str(self.config),
            "--socket",
            str(self.folder / "none.sock"),
            "--json",
        ]
        status = main([*command, *options])
        found = json.loads(capsys.readouterr().out)
        for one in found:
            assert set(one) == {"check", "subject", "state", "seen", "remedy"}
            assert one["state"] in ("ok", "note", "skipped") or one["remedy"], one
        assert status == any(one["state"] == "fault" for one in found)
        return status, found


def of(found, check: str, words: str = ""):
    return [one for one in found if one["check"] == check and words in f"{one['subject']}: {one['seen']}"]


@pytest.fixture
def gateway(tmp_path):
    return Gateway(tmp_path)


# --- ports ----------------------------------------------------------------------------------------


@pytest.fixture
def port(tmp_path) -> Iterator[tuple[str, int]]:
    """A pseudo-terminal made by another process, and our end of its pipe."""
    code = "import os, pty, sys; print(os.ttyname(pty.openpty()[1]), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None and maker.stdin is not None
        path = maker.stdout.readline().strip()
        link = tmp_path / "ttyTEST"
        link.symlink_to(path)
        yield str(link), maker.pid
        maker.stdin.close()


@contextlib.contextmanager
def held(path: str) -> Iterator[int]:
    """The port open in a process of its own."""
    code = (
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        yield holder.pid
        holder.stdin.close()


def test_a_port_that_another_process_holds_is_a_fault_that_names_it(gateway, port, capsys):
    path, maker = port
    gateway.configure(link=f'serial = "{path}"')
    with held(path) as pid:
        status, found = gateway.doctor(capsys, "--offline")
        (use,) = of(found, "ports", "line1: use")
        assert (status, use["state"]) == (1, "fault")
        assert f"(pid {pid})" in use["seen"] and f"(pid {maker})" not in use["seen"]
        assert f"-p {pid}" in use["remedy"]
    _, found = gateway.doctor(capsys, "--offline")
    assert of(found, "ports", "line1: use")[0]["state"] in ("ok", "skipped")


def test_a_terminal_of_the_same_name_elsewhere_is_not_taken_for_this_one(port):
    """Each container has a /dev/pts/N of its own; its programs hold that one."""
    path, _ = port
    other, slave = pty.openpty()
    try:
        with held(path) as pid:
            assert pid in [one for one, _ in owner.others(path)]
            assert pid not in [one for one, _ in owner.others(os.ttyname(slave))]
    finally:
        os.close(other)
        os.close(slave)


class Opens:
    """Tells by inotify(7) whether anybody has opened a file since it was last asked."""

    def __init__(self, path: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._fd, os.fsencode(path), 0x20) >= 0, os.strerror(ctypes.get_errno())

    def any(self) -> bool:
        try:
            return bool(os.read(self._fd, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


def test_a_serial_port_is_judged_without_being_opened(gateway, capsys):
    """Opening it would raise RTS, which turns some transceivers round."""
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    opens = Opens(path)
    try:
        gateway.configure(link=f'serial = "{path}"')
        _, found = gateway.doctor(capsys, "--offline")
        assert len(of(found, "ports")) >= 3
        assert not opens.any()
        os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))
        assert opens.any()
    finally:
        opens.close()
        os.close(master)
        os.close(slave)


def test_a_port_that_is_not_there_is_a_fault(gateway, capsys):
    status, found = gateway.doctor(capsys, "--offline")
    assert (status, of(found, "ports", "/dev/ttyNONE")[0]["state"]) == (1, "fault")


def test_a_file_and_a_device_that_is_no_terminal_are_no_ports(gateway, capsys):
    for path in (str(gateway.config), "/dev/null"):
        gateway.configure(link=f'serial = "{path}"')
        (one,) = of(gateway.doctor(capsys, "--offline")[1], "ports")
        assert (one["state"], "no serial port" in one["seen"]) == ("fault", True)


# --- device servers -------------------------------------------------------------------------------


def bus(port: int, host: str = "127.0.0.1") -> BusDef:
    return BusDef(name="line1", link=TcpLink(host=host, port=port))


def test_a_device_is_connected_to_and_not_a_byte_is_sent():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = servers.attempt(bus(listening.getsockname()[1]), SystemClock())
        assert not answer.error
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b""


def test_a_device_that_refuses_and_a_name_nobody_knows_are_told_apart():
    assert servers.attempt(bus(free_port()), SystemClock()).reason == "refused"
    assert servers.attempt(bus(502, "no-such-host.invalid"), SystemClock()).reason == "missing"


def test_offline_connects_to_nothing(gateway, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        gateway.configure(link=f'tcp = "{address}"', url=f"mqtt://{address}")
        _, found = gateway.doctor(capsys, "--offline")
        assert of(found, "ports")[0]["state"] == of(found, "broker")[0]["state"] == "skipped"
        listening.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listening.accept()


# --- broker ---------------------------------------------------------------------------------------


def site(uplink: UplinkDef) -> Site:
    link = SerialLink(path="/dev/ttyNONE")
    return Site(
        site="plant", agent="hall", buses=(BusDef(name="line1", link=link),), alarms=(), window_ns=10**9,
        uplink=uplink, spool=SpoolDef(),
    )  # fmt: skip


def tried(uplink: UplinkDef, **more):
    clock = SystemClock()
    attempt = broker_probe.attempt(site(uplink), clock, **more)
    return list(judge_broker(attempt, clock.wall_ns() / 1e9))


@needs_broker
def test_a_broker_that_accepts_is_ok_and_sees_no_message(tmp_path):
    with Broker(tmp_path) as broker, Probe(broker) as probe:
        (one,) = tried(UplinkDef(url=broker.url))
        assert (str(one.state), "MQTT 5" in one.seen) == ("ok", True)
        probe.publish("end", b"")
        probe.wait_for("end")
        assert [topic for topic, *_ in probe.messages] == ["end"]


@needs_broker
def test_the_running_agent_is_not_thrown_out_of_its_session(tmp_path):
    import threading

    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    with Broker(tmp_path) as broker:
        up, gone = threading.Event(), threading.Event()
        agent = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="ea1-plant-hall", protocol=MQTTProtocolVersion.MQTTv5
        )
        agent.on_connect = lambda *_: up.set()
        agent.on_disconnect = lambda *_: gone.set()
        agent.connect("127.0.0.1", broker.port)
        agent.loop_start()
        try:
            assert up.wait(10)
            assert str(tried(UplinkDef(url=broker.url))[-1].state) == "ok"
            names = re.findall(r"New client connected from \S+ as (\S+)", broker.log)
            assert names[0] == "ea1-plant-hall" and re.fullmatch(
                r"ea1-plant-hall-doctor-[0-9a-f]{8}", names[1]
            )
            assert not gone.is_set()
        finally:
            agent.disconnect()
            agent.loop_stop()


@needs_broker
@pytest.mark.parametrize(
    ("names", "days", "words"),
    [
        ("IP:127.0.0.1", -1, "has expired"),
        ("DNS:elsewhere.example", 5, "another"),
        ("IP:127.0.0.1", 5, ""),
    ],
)
def test_what_is_wrong_with_the_brokers_certificate_is_said_in_words(tmp_path, names, days, words):
    authority = Authority(tmp_path)
    pair = authority.issue("server", names, days)
    with Broker(tmp_path, cert=pair.cert, key=pair.key) as broker:
        found = tried(UplinkDef(url=broker.url, ca=str(authority.ca)))
        last = found[-1]
        assert (str(last.state), words in last.seen) == ("fault" if words else "ok", True)
        shown = [one for one in found if one.subject == "certificate"]
        assert any("server" in one.seen for one in shown)
        if days < 0:
            assert any("expired on" in one.seen and str(one.state) == "fault" for one in shown)
        if not words:
            assert any("4 days left" in one.seen and str(one.state) == "warning" for one in shown)


@needs_broker
def test_a_broker_of_another_authority_is_shown_with_its_issuer(tmp_path):
    own, other = Authority(tmp_path, "own-ca"), Authority(tmp_path, "other-ca")
    pair = other.issue("server")
    with Broker(tmp_path, cert=pair.cert, key=pair.key) as broker:
        found = tried(UplinkDef(url=broker.url, ca=str(own.ca)))
        assert "is not trusted" in found[-1].seen
        assert any("by other-ca" in one.seen for one in found)


@needs_broker
def test_a_wrong_password_is_refused_and_never_printed(tmp_path, gateway, capsys):
    secret = tmp_path / "password"
    secret.write_text("s3cret-word\n")
    secret.chmod(0o600)
    with Broker(tmp_path, users={"agent": "another"}) as broker:
        login = f'username = "agent"\npassword_file = "{secret}"'
        gateway.configure(url=broker.url, login=login)
        status, found = gateway.doctor(capsys)
        (one,) = of(found, "broker", broker.url)
        assert (status, one["state"]) == (1, "fault")
        assert "s3cret-word" not in json.dumps(found)
        main(["doctor", "--config", str(gateway.config)])
        printed = capsys.readouterr()
        assert "s3cret-word" not in printed.out + printed.err
    with Broker(tmp_path / "right", users={"agent": "s3cret-word"}) as broker:
        gateway.configure(url=broker.url, login=login)
        assert of(gateway.doctor(capsys)[1], "broker", broker.url)[0]["state"] == "ok"


def test_nobody_listening_and_an_unknown_name_are_told_apart():
    assert "refused" in tried(UplinkDef(url=f"mqtt://127.0.0.1:{free_port()}"))[-1].seen
    found = tried(UplinkDef(url="mqtts://no-such-host.invalid:8883"))
    assert "no-such-host.invalid is not found" in found[-1].seen


def test_a_listener_that_says_nothing_ends_in_time():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert "says nothing" in tried(UplinkDef(url=f"mqtt://127.0.0.1:{port}"))[-1].seen


# --- certificates ---------------------------------------------------------------------------------


def test_certificates_and_keys_of_the_configuration(tmp_path, gateway, capsys):
    authority = Authority(tmp_path)
    good, other = authority.issue("client"), authority.issue("other", days=-1)
    login = 'ca = "{}"\ncert = "{}"\nkey = "{}"'
    gateway.configure(url="mqtts://127.0.0.1:1", login=login.format(authority.ca, good.cert, good.key))
    found = gateway.doctor(capsys, "--offline")[1]
    assert of(found, "certificates", "belong together")
    assert of(found, "certificates", "validity of uplink ca: test-ca, by test-ca")[0]["state"] == "warning"
    gateway.configure(url="mqtts://127.0.0.1:1", login=login.format(authority.ca, other.cert, good.key))
    found = gateway.doctor(capsys, "--offline")[1]
    assert of(found, "certificates", "does not belong to cert")[0]["state"] == "fault"
    assert of(found, "certificates", "expired on")[0]["state"] == "fault"
    assert "PRIVATE" not in json.dumps(found)


def test_a_file_without_a_certificate_and_a_missing_one_are_faults(tmp_path, gateway, capsys):
    (tmp_path / "empty.pem").write_text("nothing\n")
    gateway.configure(url="mqtts://127.0.0.1:1", login=f'ca = "{tmp_path}/empty.pem"')
    assert of(gateway.doctor(capsys, "--offline")[1], "certificates", "holds no certificate")
    gateway.configure(url="mqtts://127.0.0.1:1", login=f'ca = "{tmp_path}/none.pem"')
    assert of(gateway.doctor(capsys, "--offline")[1], "certificates", "does not exist")


def test_without_the_library_for_certificates_the_check_is_skipped(tmp_path, gateway, capsys, monkeypatch):
    from edge_agent.doctor.probes import x509

    authority = Authority(tmp_path)
    monkeypatch.setattr(x509, "x509", None)
    gateway.configure(url="mqtts://127.0.0.1:1", login=f'ca = "{authority.ca}"')
    found = of(
        gateway.doctor(capsys, "--offline")[1], "certificates", "python3-cryptography is not installed"
    )
    assert [one["state"] for one in found] == ["skipped"]


# --- disk -----------------------------------------------------------------------------------------


@needs_disks
def test_a_disk_that_fills_up_is_told_at_the_limits_of_the_spool(tmp_path, capsys):
    with disks.Ext4(tmp_path, size=32 << 20) as disk:
        gateway = Gateway(tmp_path)
        gateway.spool = disk.path / "spool"
        gateway.configure(size="8MiB")
        states = {}
        for leave in (9 << 20, 8 << 20, 512 << 10):
            disk.clear()
            disk.fill(leave)
            (one,) = of(gateway.doctor(capsys, "--offline")[1], "disk", "space: ")
            states[leave] = one["state"]
        assert states == {9 << 20: "ok", 8 << 20: "warning", 512 << 10: "fault"}


@needs_disks
def test_a_disk_that_is_read_only_in_memory_or_without_inodes_is_told(tmp_path, capsys):
    with disks.Ext4(tmp_path / "a") as disk:
        disk.remount(read_only=True)
        found = disk_probe.look(str(disk.path / "spool"))
        assert found.is_read_only and found.kind == "ext4" and found.source.startswith("/dev/loop")
    with disks.Tmpfs(tmp_path / "b", inodes=1200) as memory:
        gateway = Gateway(tmp_path)
        gateway.spool = memory.path / "spool"
        gateway.configure()
        found = gateway.doctor(capsys, "--offline")[1]
        assert of(found, "disk", "it is memory")[0]["state"] == "warning"
        assert of(found, "disk", "inodes: ")[0]["state"] == "ok"
        memory.take_inodes()
        assert of(gateway.doctor(capsys, "--offline")[1], "disk", "inodes: ")[0]["state"] == "fault"


def tree(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def test_a_spool_is_looked_at_without_touching_it_and_damage_is_told(tmp_path):
    root = tmp_path / "spool"
    shutil.copytree(ROOT / "tests/fixtures/spool-0.1.0/spool", root)
    before = tree(root)
    state = disk_probe.spool(str(root), NOT_A_SERVICE)
    assert (state.damage, state.undeclared, state.unsent > 0, state.used_bytes > 0) == ((), 1, True, True)
    assert tree(root) == before
    newest = sorted((root / "sample").glob("*.seg"))[-1]
    data = bytearray(newest.read_bytes())
    data[3000] ^= 1
    newest.write_bytes(data)
    (damage,) = disk_probe.spool(str(root), NOT_A_SERVICE).damage
    assert damage.startswith(f"sample/{newest.name}: record")


def test_files_a_user_may_not_write_are_named(tmp_path):
    root = tmp_path / "spool"
    (root / "sample").mkdir(parents=True)
    (root / "lock").touch(mode=0o600)
    other = User(name="other", uid=os.geteuid() + 1)
    assert str(root / "lock") in disk_probe.spool(str(root), other).foreign
    assert not disk_probe.spool(str(root), NOT_A_SERVICE).foreign


# --- without rights -------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_look_is_told_what_was_not_seen_and_how_to_see_it(gateway, capsys):
    """In a child, which gives up its rights: everything is imported by then."""
    gateway.doctor(capsys, "--offline")
    gateway.config.chmod(0o600)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        with contextlib.suppress(BaseException):
            os.dup2(writer, 1)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            status = main(["doctor", "--config", str(gateway.config), "--offline"])
            sys.stdout.flush()
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, text
    assert "you may not read it" in " ".join(text.split())
    assert (
        f"$ sudo edge-agent doctor --config {gateway.config} --offline".split()
        == [word for word in text[text.index("root may see more:") :].split() if word != "\\"][4:]
    )
