"""Reaching the broker: name lookup, TCP, TLS, in a short-lived thread so that nobody waits for it.

Owns sockets until they are connected, and the reading of password and certificate files. A name
server can hang for minutes and cannot be interrupted; so the lookup runs beside the uplink's loop,
which only asks whether it is done. At most one lookup per `Dialer` hangs at any time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import stat
import threading
from dataclasses import dataclass
from typing import Any

from edge_agent.clock import Clock
from edge_agent.config import credentials
from edge_agent.model import NS, MonoNs
from edge_agent.uplink.connection.address import Address, Login
from edge_agent.uplink.reasons import Cause, Failure

log = logging.getLogger(__name__)

_MAX_PASSWORD = 4096
_USER_TIMEOUT_MS = 30_000
"""TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged before the kernel gives up."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connected socket, TLS done, and the password that goes with it."""

    sock: socket.socket
    password: str | None


class _Refused(Exception):
    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class Dial:
    """One attempt. `ready_fd` becomes readable when `result` is there."""

    def __init__(self, address: Address, login: Login, timeout_s: float) -> None:
        self.ready_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._abandoned = False
        self._result: Dialled | Failure | None = None
        self.thread = threading.Thread(
            target=self._run, args=(address, login, timeout_s), name="uplink-dial", daemon=True
        )
        try:
            self.thread.start()
        except RuntimeError:
            os.close(self.ready_fd)
            raise

    @property
    def result(self) -> Dialled | Failure | None:
        with self._lock:
            return self._result

    def abandon(self) -> None:
        """Nobody waits any more: what is or will be connected is closed."""
        with self._lock:
            if self._abandoned:
                return
            self._abandoned = True
            if isinstance(self._result, Dialled):
                self._result.sock.close()
            os.close(self.ready_fd)

    def take(self) -> None:
        """The result's socket now belongs to the caller."""
        with self._lock:
            self._abandoned = True
            os.close(self.ready_fd)

    def _run(self, address: Address, login: Login, timeout_s: float) -> None:
        result = _dial(address, login, timeout_s)
        with self._lock:
            if self._abandoned:
                if isinstance(result, Dialled):
                    result.sock.close()
                return
            self._result = result
            os.eventfd_write(self.ready_fd, 1)


class Dialer:
    """Starts attempts, one at a time, and remembers one that still hangs in the resolver."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hanging: tuple[threading.Thread, MonoNs] | None = None

    def dial(self, address: Address, login: Login, timeout_s: float) -> Dial | Failure:
        """Begin an attempt; a Failure when an earlier one has not even come back yet."""
        if self._hanging is not None:
            thread, since = self._hanging
            if thread.is_alive():
                age_s = (self._clock.mono_ns() - since) / NS
                return Failure(
                    Cause.DNS,
                    f"looking up {address.host} hangs since {age_s:.0f} s",
                    "is the name server reachable?",
                )
            self._hanging = None
        try:
            return Dial(address, login, timeout_s)
        except (OSError, RuntimeError) as error:
            # No descriptor or no thread to be had: the attempt fails, not the agent.
            return Failure(Cause.LOST, f"cannot begin to connect: {error}", "too many open files?")

    def give_up(self, dial: Dial, started: MonoNs) -> None:
        dial.abandon()
        if dial.thread.is_alive():
            self._hanging = (dial.thread, started)


def _dial(address: Address, login: Login, timeout_s: float) -> Dialled | Failure:
    try:
        password = _password(login)
        context = _tls_context(login) if address.tls else None
        sock = _connect(address, timeout_s)
        if context is not None:
            sock = _handshake(sock, context, address)
    except _Refused as refused:
        return refused.failure
    except Exception as error:  # the thread's last resort: the attempt fails, the agent goes on
        log.exception("connecting to %s failed unexpectedly", address)
        return Failure(Cause.LOST, f"{type(error).__name__}: {error}")
    sock.setblocking(False)
    return Dialled(sock, password)


def _password(login: Login) -> str | None:
    if not login.password_file:
        return None
    path = login.password_file
    try:
        with credentials.source(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_PASSWORD + 1)
    except OSError as error:
        raise _Refused(_file_failure("password_file", path, error)) from error
    if mode & (stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        log.warning("password_file %s is open to every user of this machine; hint: chmod 640 %s", path, path)
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise _Refused(
            Failure(Cause.FILES, f"password_file {path} is not UTF-8 text", "one line with the password")
        ) from error


def _file_failure(key: str, path: str, error: OSError) -> Failure:
    hint = credentials.hint(path, key, error)
    return Failure(Cause.FILES, f"{key} {path}: {error.strerror or error}", hint)


def _tls_context(login: Login) -> ssl.SSLContext:
    for key, name in (("ca", login.ca), ("cert", login.cert), ("key", login.key)):
        if name:
            try:
                credentials.source(name).open("rb").close()
            except OSError as error:
                raise _Refused(_file_failure(key, name, error)) from error
    try:
        context = ssl.create_default_context(cafile=credentials.source(login.ca) if login.ca else None)
    except (ssl.SSLError, OSError) as error:
        raise _Refused(
            Failure(Cause.FILES, f"ca {login.ca}: holds no certificate", "PEM is needed")
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if login.cert:
        try:
            # The password callback keeps OpenSSL from asking on the terminal for an encrypted key.
            key_file = credentials.source(login.key) if login.key else None
            context.load_cert_chain(credentials.source(login.cert), key_file, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            raise _Refused(_pair_failure(login, error)) from error
    return context


def _pair_failure(login: Login, error: Exception) -> Failure:
    if "KEY_VALUES_MISMATCH" in str(error):
        return Failure(Cause.FILES, f"key {login.key} does not belong to cert {login.cert}")
    return Failure(
        Cause.FILES, f"cert {login.cert} and key {login.key}: {error}", "PEM, and the key not encrypted"
    )


def _connect(address: Address, timeout_s: float) -> socket.socket:
    try:
        # A name as text would be encoded by the codec `idna`, half a megabyte; ours is ASCII already.
        host: Any = address.host.encode("ascii")
        sock = socket.create_connection((host, address.port), timeout=timeout_s)
    except (socket.gaierror, UnicodeError) as error:
        message = f"host name {address.host} is not found: {getattr(error, 'strerror', None) or error}"
        raise _Refused(Failure(Cause.DNS, message, "check url, and the name server")) from error
    except TimeoutError as error:
        message = "the broker does not answer"
        raise _Refused(Failure(Cause.TIMEOUT, message, "a firewall, or the wrong address?")) from error
    except OSError as error:
        message = str(error.strerror or error)
        hint = (
            "is a broker running there?" if isinstance(error, ConnectionRefusedError) else "check the network"
        )
        raise _Refused(Failure(Cause.UNREACHABLE, message, hint)) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    return sock


def _handshake(sock: socket.socket, context: ssl.SSLContext, address: Address) -> socket.socket:
    try:
        return context.wrap_socket(sock, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        failure = _certificate_failure(error)
    except TimeoutError:
        failure = Failure(Cause.TIMEOUT, "the broker does not finish the TLS handshake")
    except OSError as error:
        words = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        hint = "is this port for TLS? does the broker ask for a certificate?"
        failure = Failure(Cause.TLS, f"TLS: {words or error}", hint)
    sock.close()
    raise _Refused(failure)


# X509_V_ERR_* of OpenSSL's x509_vfy.h -> cause, what is wrong, hint.
_CERTIFICATE = {
    9: (Cause.TLS_NOT_YET_VALID, "is not yet valid", "is this machine's clock right? it is tried again"),
    10: (Cause.TLS_EXPIRED, "has expired", "renew it; or is this machine's clock wrong?"),
    23: (Cause.TLS_UNTRUSTED, "is revoked", "ask who runs the broker"),
    62: (Cause.TLS_NAME, "is for another host name", "check url"),
    64: (Cause.TLS_NAME, "is for another IP address", "check url"),
}


def _certificate_failure(error: ssl.SSLCertVerificationError) -> Failure:
    untrusted = (Cause.TLS_UNTRUSTED, f"is not trusted: {error.verify_message}", "check ca")
    cause, words, hint = _CERTIFICATE.get(error.verify_code, untrusted)
    return Failure(cause, f"the broker's certificate {words}", hint)
