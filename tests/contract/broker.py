"""A real mosquitto of one's own: started on a free loopback port, killed, paused, restarted there.

    with Broker(tmp_path) as broker:
        ... broker.url ...
        broker.kill(); broker.start()

Also a small MQTT client for tests (`Probe`) that is not the code under test: paho's own network thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin") or "mosquitto"
_START_S = 10.0


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One mosquitto. Everything it writes is under `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        persistent: bool = False,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        client_cert: bool = False,
        options: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        """`users`: name to password, and nobody else may connect. `acl`: text of an acl_file.
        `options`: further lines for the configuration."""
        self.directory = directory / "broker"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.tls = cert is not None
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if users else 'true'}"]
        if os.geteuid() == 0:
            # mosquitto would become the user `mosquitto`, which may not write here.
            lines.append("user root")
        if persistent:
            lines += ["persistence true", f"persistence_location {self.directory}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1", "max_queued_messages 0"]
        if users:
            lines.append(f"password_file {self._passwords(users)}")
        if acl:
            lines.append(f"acl_file {self._file('acl', acl)}")
        if cert is not None:
            lines += [f"certfile {cert}", f"keyfile {key}"]
        if ca is not None:
            lines += [f"cafile {ca}", f"require_certificate {'true' if client_cert else 'false'}"]
        self._config = self._file("mosquitto.conf", "\n".join([*lines, *options]) + "\n")

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config), "-v"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            time.sleep(0.01)
        raise RuntimeError(f"mosquitto did not start:\n{self.log}")

    def stop(self) -> None:
        """As an operator does: SIGTERM, clients are told."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def reload(self, *, acl: str) -> None:
        """Another access list, without ending connections: SIGHUP."""
        self._file("acl", acl)
        self._signal(signal.SIGHUP)

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.resume()
            self.kill()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        self._signal(number)
        if self._process is not None:
            self._process.wait(10)
            self._process = None

    def _file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _passwords(self, users: Mapping[str, str]) -> Path:
        path = self._file("passwords", "".join(f"{name}:{password}\n" for name, password in users.items()))
        program = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
        subprocess.run([program, "-U", str(path)], check=True, capture_output=True)
        return path


class Probe:
    """A subscriber and publisher beside the code under test; `messages` grows in its own thread."""

    def __init__(self, broker: Broker, *filters: str, user: str = "", password: str = "") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._filters = filters or ("#",)
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise RuntimeError("the probe could not subscribe")

    def wait_for(self, topic: str, payload: bytes | None = None, timeout_s: float = 10.0) -> bytes:
        """The first payload seen on `topic` (equal to `payload`, if given)."""

        def found() -> bytes | None:
            return next((p for t, p, _ in self.messages if t == topic and payload in (None, p)), None)

        with self._changed:
            if not self._changed.wait_for(lambda: found() is not None, timeout_s):
                raise TimeoutError(f"nothing on {topic}; seen: {sorted({t for t, _, _ in self.messages})}")
            result = found()
            assert result is not None
            return result

    def wait_until(self, true: Any, timeout_s: float = 10.0) -> None:
        """Until `true(messages)`."""
        with self._changed:
            if not self._changed.wait_for(lambda: true(self.messages), timeout_s):
                raise TimeoutError(f"seen: {self.messages[-20:]}")

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in list(self.messages) if name == topic]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Any, *_: Any) -> None:
        client.subscribe([(name, 1) for name in self._filters])

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        with self._changed:
            self.messages.append((message.topic, bytes(message.payload), bool(message.retain)))
            self._changed.notify_all()
