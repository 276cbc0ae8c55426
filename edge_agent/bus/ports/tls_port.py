"""A TLS connection to a Modbus/TCP Security device: `socket_port` with a handshake.

Owns the certificates and the waits of TLS. TLS 1.2 or later; only the certificates of `ca` are accepted,
never the system's, and the device's must be made out to the name it is reached by. Files are read at each
connection, so that a renewed one is used without a restart, if it is not one of `config/credentials`.

Imported only where such a bus is configured: `ssl` takes memory and time that others need not pay.

Invariants: as `socket_port`; every failure of certificates, files or the handshake is a PortError of the
reason `tls` with a hint.

Source: MODBUS/TCP Security Protocol Specification, 2018.
"""

from __future__ import annotations

import contextlib
import select
import ssl

from edge_agent.bus.line import SLICE_NS, Stopped
from edge_agent.bus.ports import socket_port
from edge_agent.bus.ports.resolver import Resolver
from edge_agent.clock import Clock
from edge_agent.config import credentials
from edge_agent.errors import PortError
from edge_agent.model import NS, MonoNs, TcpLink, TlsLink

_HANDSHAKE_NS = 5 * NS
_HINT_HANDSHAKE = "is this port for TLS (802), not for plain Modbus TCP (502)?"
_HINT_AGAIN = "it is connected again"
_HINT_CLIENT = "the device may want a certificate of the agent (cert, key), or does not accept this one"

_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""The connection ended: nothing is wrong with TLS itself."""


class TlsPort:
    """An open connection. Made by `connect`. A `socket_port.Stream`."""

    def __init__(self, connection: ssl.SSLSocket, name: str, clock: Clock) -> None:
        self._socket = connection
        self._name = name
        self._clock = clock
        self._is_proven = False
        """Something was heard. With TLS 1.3 the device looks at the agent's certificate only after the
        handshake, and its refusal may be lost with the connection."""

    def write(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError as error:
            raise self._failed(error) from error
        if sent < len(data):
            raise socket_port.stuck(self._name)

    def read(self, until: MonoNs) -> bytes:
        try:
            # Bytes may be decrypted already, and then the socket is not ready any more: read first.
            while (data := self._read_now()) is None:
                if not self._ready(until):
                    return b""
        except OSError as error:
            raise self._failed(error) from error
        if not data:
            raise self._lost(socket_port.closed(self._name))
        self._is_proven = True
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read_now(self) -> bytes | None:
        """What can be decrypted now; empty at the end of the connection, None while there is nothing."""
        try:
            return self._socket.recv(4096)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def _failed(self, error: OSError) -> PortError:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _ENDED):
            words = _words(error)
            return _refused(self._name, f"TLS: {words}", _HINT_CLIENT if "ALERT" in words else _HINT_AGAIN)
        return self._lost(socket_port.lost(self._name, error))

    def _lost(self, error: PortError) -> PortError:
        if self._is_proven:
            return error
        return _refused(self._name, "the peer ended the connection after the TLS handshake", _HINT_CLIENT)

    def _ready(self, until: MonoNs) -> bool:
        left = until - self._clock.mono_ns()
        return left > 0 and _wait(self._socket, select.POLLIN, left)


def connect(link: TcpLink, resolver: Resolver, clock: Clock, stopped: Stopped) -> TlsPort:
    """Connect and shake hands within several seconds. Raises PortError."""
    assert isinstance(link, TlsLink)
    name = socket_port.name_of(link)
    context = _context(link, name)
    plain = socket_port.connected(link, resolver, clock, stopped)
    try:
        connection = context.wrap_socket(
            plain, server_hostname=link.server_name or link.host, do_handshake_on_connect=False
        )
    except (OSError, ValueError) as error:
        plain.close()
        raise _refused(name, str(error), "check the address and server_name") from error
    try:
        _shake_hands(connection, name, clock, stopped)
    except PortError:
        connection.close()
        raise
    return TlsPort(connection, name, clock)


def _context(link: TlsLink, name: str) -> ssl.SSLContext:
    for key, path in (("ca", link.ca), ("cert", link.cert), ("key", link.key)):
        if path:
            _assert_readable(name, key, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # `ca` may be the device's own certificate or one in between, and then nothing above it is asked for.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(credentials.source(link.ca))
    except OSError as error:
        raise _refused(name, f"ca {link.ca}: holds no certificate", "PEM is needed") from error
    if link.cert:
        try:
            # The password callback keeps OpenSSL from asking on the terminal for an encrypted key.
            pair = credentials.source(link.cert), credentials.source(link.key)
            context.load_cert_chain(*pair, password=lambda: "")
        except OSError as error:
            raise _pair_refused(link, name, error) from error
    return context


def _assert_readable(name: str, key: str, path: str) -> None:
    try:
        credentials.source(path).open("rb").close()
    except OSError as error:
        hint = credentials.hint(path, key, error)
        raise _refused(name, f"{key} {path}: {error.strerror or error}", hint) from error


def _pair_refused(link: TlsLink, name: str, error: OSError) -> PortError:
    if "KEY_VALUES_MISMATCH" in str(error):
        return _refused(name, f"key {link.key} does not belong to cert {link.cert}", "check cert and key")
    words = getattr(error, "reason", None) or error.strerror or error
    return _refused(
        name, f"cert {link.cert} and key {link.key}: {words}", "PEM is needed, and the key not encrypted"
    )


def _shake_hands(connection: ssl.SSLSocket, name: str, clock: Clock, stopped: Stopped) -> None:
    give_up = clock.mono_ns() + _HANDSHAKE_NS
    while True:
        try:
            connection.do_handshake()
            return
        except ssl.SSLWantReadError:
            _wait(connection, select.POLLIN, SLICE_NS)
        except ssl.SSLWantWriteError:
            _wait(connection, select.POLLOUT, SLICE_NS)
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(name, error) from error
        except OSError as error:
            words = _words(error)
            hint = _HINT_CLIENT if "ALERT" in words else _HINT_HANDSHAKE
            raise _refused(name, f"TLS handshake: {words}", hint) from error
        if stopped() or clock.mono_ns() >= give_up:
            raise _refused(name, "the peer does not finish the TLS handshake", _HINT_HANDSHAKE)


def _wait(connection: ssl.SSLSocket, event: int, at_most_ns: int) -> bool:
    poll = select.poll()
    poll.register(connection, event)
    return bool(poll.poll(-(-at_most_ns // 1_000_000)))


# X509_V_ERR_* of OpenSSL's x509_vfy.h -> what is wrong, hint.
_CERTIFICATE = {
    9: ("is not yet valid", "is this machine's clock right? it is tried again"),
    10: ("has expired", "renew it; or is this machine's clock wrong?"),
    23: ("is revoked", "ask who runs the device"),
    62: ("is for another host name", "write the name in it as server_name"),
    64: ("is for another IP address", "write the name in it as server_name"),
}


def _untrusted(name: str, error: ssl.SSLCertVerificationError) -> PortError:
    unknown = (f"is not trusted: {error.verify_message}", "check ca: who signed the device's certificate?")
    words, hint = _CERTIFICATE.get(error.verify_code, unknown)
    return _refused(name, f"the device's certificate {words}", hint)


def _refused(name: str, text: str, hint: str) -> PortError:
    return PortError(f"{name}: {text}", reason="tls", hint=hint)


def _words(error: OSError) -> str:
    """OpenSSL's own word where there is one: `TLSV13_ALERT_CERTIFICATE_REQUIRED`."""
    return str(getattr(error, "reason", None) or error.strerror or error)
