"""The only door to paho-mqtt: one connection to a broker, driven by the thread that calls it.

A `Connection` lives from dialling to its end and is then thrown away, and paho's client with it: paho
keeps unacknowledged messages and would publish them again by itself at a reconnect, beside our spool.
Nothing here waits: `turn` does what can be done now and returns what happened, as values.

Invariants:
* no thread of paho runs, and none of its queues holds more than the caller's own window;
* nothing is published unless the connection is up;
* no exception of a callback or of paho's packet parser leaves this module;
* a packet from the broker beyond `max_packet_bytes` ends the connection before it is read (`guard`).
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.errors import UplinkError
from edge_agent.model import NS
from edge_agent.uplink.connection.alias import TopicAliases
from edge_agent.uplink.connection.dial import Dial, Dialer, Dialled
from edge_agent.uplink.connection.guard import GuardedSocket
from edge_agent.uplink.connection.lean import on_demand
from edge_agent.uplink.connection.wire import (
    ConnectOptions,
    Down,
    Event,
    Message,
    MqttVersion,
    Published,
    Received,
    Subscribed,
    Traffic,
    Up,
)
from edge_agent.uplink.reasons import Cause, Failure, farewell, refusal

with on_demand("urllib.request"):
    from paho.mqtt import client as paho

log = logging.getLogger(__name__)

CALLBACK_ERRORS = declare(
    "mqtt_callback_errors",
    "exceptions in the MQTT library that were caught; each ends the connection",
)
_MAX_READS = 200
"""Packets handled in one turn, so that a flood from the broker cannot hold the loop."""
_TRIPWIRE = 4096
"""More than any window of ours: paho refuses to queue beyond it instead of growing without bound."""
_KEEPALIVE_GRACE_NS = 10 * NS
_KEEPALIVE_CODE = 0x8D
_PUBACK_CODES = frozenset({0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
"""MQTT 5.0, 3.4.2.1."""


class _Alias:
    """The properties of a PUBLISH that has an alias; paho's own object costs more than the rest of the
    message, and here it is always the same."""

    def __init__(self, number: int) -> None:
        self._packed = b"\x03\x23" + number.to_bytes(2)

    def pack(self) -> bytes:
        return self._packed


class _Client(paho.Client):
    """paho's client on a socket that is connected already."""

    def __init__(self, guarded: GuardedSocket, options: ConnectOptions) -> None:
        # paho needs a definite clean_session for 3.1.1 and none for 5.
        clean = options.clean if options.protocol is MqttVersion.V311 else None
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            clean_session=clean,
            protocol=MQTTProtocolVersion(options.protocol.value),
            # True would make paho downgrade to MQTT 3.1 and dial by itself.
            reconnect_on_failure=False,
            manual_ack=options.manual_ack,
        )
        self._guarded = guarded
        self.strange_codes: dict[int, int] = {}
        """What a PUBACK really said, by message, where the standard does not allow it to say that."""
        self.suppress_exceptions = True
        self.max_inflight_messages_set(0)
        self.max_queued_messages_set(_TRIPWIRE)

    def _create_socket(self) -> Any:
        return self._guarded

    def keep_alive_within(self, most_s: int) -> None:
        """A broker may set the keep-alive (MQTT 5.0, 3.2.2.3.14): shorter is obeyed; longer, or none, says
        only how long it would wait, while we want to know sooner whether it is there."""
        self._keepalive = min(self._keepalive or most_s, most_s)

    def _handle_pubackcomp(self, cmd: Any) -> Any:
        """paho ends the connection over a code that is not PUBACK's (0x95, 0x96); brokers send them."""
        packet = self._in_packet["packet"]
        if cmd == "PUBACK" and len(packet) > 2 and packet[2] >= 0x80 and packet[2] not in _PUBACK_CODES:
            if len(self.strange_codes) >= _TRIPWIRE:
                self.strange_codes.clear()
            self.strange_codes[int.from_bytes(packet[:2])] = packet[2]
            self._in_packet["packet"] = packet[:2] + b"\x80" + packet[3:]
        return super()._handle_pubackcomp(cmd)


# The seams we rely on: without the first there is no guard.
if not hasattr(paho.Client, "_create_socket") or not hasattr(paho.Client, "_handle_pubackcomp"):
    raise UplinkError("this paho-mqtt is not supported\n    hint: install paho-mqtt >= 2.1, < 3")


class Connection:
    """One connection, from the first name lookup to its end. Not for use by two threads."""

    def __init__(self, options: ConnectOptions, dialer: Dialer, clock: Clock, counters: Counters) -> None:
        self.options = options
        self._clock = clock
        self._dialer = dialer
        self._errors = counters.get(CALLBACK_ERRORS)
        self._events: list[Event] = []
        self._dial: Dial | None = None
        self._client: _Client | None = None
        self._guarded: GuardedSocket | None = None
        self._aliases = TopicAliases(0)
        self._properties: dict[int, _Alias] = {}
        self._up = False
        self._ended = False
        self._heard_at = self._began_at = clock.mono_ns()
        self._heard = 0
        self._begin()

    # --- driving ------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self._up and not self._ended

    def wait(self, timeout_s: float, wake_fd: int | None = None) -> None:
        """Sleep until the broker, `wake_fd` or the time says that there is something to do."""
        if self._events or (self._guarded is not None and self._guarded.has_pending):
            timeout_s = 0.0
        wait_for(self._fds(), wake_fd, timeout_s)

    def turn(self) -> list[Event]:
        """Do everything that can be done without waiting; what happened, in order."""
        if not self._ended:
            if self._client is None:
                self._turn_dialling()
            else:
                self._turn_connected(self._client)
        events, self._events = self._events, []
        return events

    @property
    def traffic(self) -> Traffic:
        if self._ended or self._guarded is None or self._client is None:
            return Traffic()
        return self._guarded.traffic(self._client.want_write())

    # --- doing --------------------------------------------------------------------------------

    def publish(self, message: Message) -> int | None:
        """Send with QoS 1; the message id its `Published` will carry, None if the connection is gone."""
        if not self.is_up or self._client is None:
            return None
        topic, number = self._aliases.of(message.topic) if message.alias else (message.topic, 0)
        properties: Any = self._properties[number] if number else None
        info = self._client.publish(topic, message.payload, 1, message.retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return None
        if number:
            self._aliases.sent(info.mid, message.topic)
        return info.mid

    def subscribe(self, filters: Sequence[str], *, see_retained: bool = False) -> None:
        """Ask for these with QoS 1. `see_retained`: messages come with the flag they were published with
        (MQTT 3.1.1 tells it only of those that were stored)."""
        if not self.is_up or self._client is None:
            return
        if self.options.protocol is MqttVersion.V5:
            how = SubscribeOptions(qos=1, retainAsPublished=see_retained)
            self._client.subscribe([(name, how) for name in filters])
        else:
            self._client.subscribe([(name, 1) for name in filters])

    def acknowledge(self, received: Received) -> None:
        """With `manual_ack`: the broker may forget this message."""
        if self.is_up and self._client is not None and received.qos:
            self._client.ack(received.mid, received.qos)

    def close(self) -> None:
        """Say goodbye if there is somebody to say it to, and release everything."""
        if self._client is not None and self.is_up:
            self._guard_call(self._client.disconnect)
        self._end(Failure(Cause.LOST, "closed"))
        self._events.clear()

    def abort(self, failure: Failure) -> None:
        """End it without a goodbye: the other side seems to be gone. The will is published."""
        self._end(failure)

    # --- inside -------------------------------------------------------------------------------

    def _begin(self) -> None:
        options = self.options
        started = self._dialer.dial(options.address, options.login, options.dial_timeout_ns / NS)
        if isinstance(started, Failure):
            self._end(started)
        else:
            self._dial = started

    def _turn_dialling(self) -> None:
        assert self._dial is not None
        result = self._dial.result
        if isinstance(result, Failure):
            self._end(result)
        elif result is not None:
            self._dial.take()
            self._dial = None
            self._start_client(result)
        elif self._clock.mono_ns() - self._began_at > self.options.dial_timeout_ns:
            host = self.options.address
            self._end(
                Failure(Cause.TIMEOUT, f"{host} cannot be reached in time", "check network and name server")
            )

    def _start_client(self, dialled: Dialled) -> None:
        self._guarded = GuardedSocket(dialled.sock, self.options.max_packet_bytes)
        self._client = client = _make_client(self.options, self._guarded, dialled.password)
        client.on_connect = self._safely(self._on_connect)
        client.on_disconnect = self._safely(self._on_disconnect)
        client.on_publish = self._safely(self._on_publish)
        client.on_message = self._safely(self._on_message)
        client.on_subscribe = self._safely(self._on_subscribe)
        self._began_at = self._heard_at = self._clock.mono_ns()
        self._guard_call(lambda: _send_connect(client, self.options))

    def _turn_connected(self, client: _Client) -> None:
        self._guard_call(lambda: self._read(client))
        if not self._ended and client.want_write():
            self._guard_call(client.loop_write)
        if not self._ended:
            self._guard_call(client.loop_misc)
        if not self._ended and client.socket() is None:
            self._end(self._lost("the broker closed the connection"))
        self._check_silence()

    def _read(self, client: _Client) -> None:
        guarded = self._guarded
        assert guarded is not None
        for _ in range(_MAX_READS):
            client.loop_read()
            if self._ended or client.socket() is None or not guarded.has_pending:
                return

    def _check_silence(self) -> None:
        """A half-open connection answers nothing, not even the pings that paho sends by itself."""
        if self._ended or self._guarded is None:
            return
        now = self._clock.mono_ns()
        if self._guarded.received != self._heard:
            self._heard, self._heard_at = self._guarded.received, now
        silent_ns = now - self._heard_at
        if not self._up and silent_ns > self.options.connack_timeout_ns:
            self._end(
                Failure(Cause.TIMEOUT, "the broker takes the connection but says nothing",
                        "no MQTT broker? or only 3.1.1: set protocol")
            )  # fmt: skip
        elif silent_ns > self.options.keepalive_s * NS + _KEEPALIVE_GRACE_NS:
            self._end(Failure(Cause.NO_ACK, f"the broker is silent since {silent_ns // NS} s"))

    def _fds(self) -> list[tuple[int, int]]:
        if self._ended:
            return []
        if self._dial is not None:
            return [(self._dial.ready_fd, select.POLLIN)]
        assert self._client is not None and self._guarded is not None
        events = select.POLLIN | (select.POLLOUT if self._client.want_write() else 0)
        return [(self._guarded.fileno(), events)] if self._guarded.fileno() >= 0 else []

    def _guard_call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # a hostile packet makes paho's parser raise anything
            self._errors.add()
            log.debug("inside paho-mqtt", exc_info=True)
            self._end(Failure(Cause.PROTOCOL, f"what the broker sent is no MQTT ({type(error).__name__})"))

    def _safely(self, callback: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:  # it would be lost inside paho
                self._errors.add()
                log.exception("in an MQTT callback")
                self._end(Failure(Cause.PROTOCOL, "what the broker sent could not be understood"))

        return wrapped

    def _lost(self, message: str) -> Failure:
        guarded = self._guarded
        if guarded is not None and guarded.broken:
            return Failure(Cause.PROTOCOL, guarded.error)
        if guarded is not None and guarded.error:
            return Failure(Cause.LOST, f"connection lost: {guarded.error}")
        if guarded is not None and not guarded.ended:
            return Failure(Cause.PROTOCOL, "what the broker sent is no MQTT")
        return Failure(Cause.LOST, message)

    def _end(self, failure: Failure) -> None:
        if self._ended:
            return
        self._ended = True
        guarded, client = self._guarded, self._client
        taken = guarded.was_taken(client.want_write()) if guarded and client else False
        self._events.append(Down(failure, taken=taken))
        if self._dial is not None:
            self._dialer.give_up(self._dial, self._began_at)
            self._dial = None
        if self._guarded is not None:
            self._guarded.close()

    # --- callbacks of paho, in the thread that called `turn` ------------------------------------

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._end(refusal(reason.value, str(reason)))
            return
        self._up = True
        if self._client is not None:
            self._client.keep_alive_within(self.options.keepalive_s)
        offered = getattr(properties, "TopicAliasMaximum", 0)
        most = min(offered, self.options.topic_aliases)
        self._aliases, self._properties = TopicAliases(most), {n: _Alias(n) for n in range(1, most + 1)}
        self._events.append(
            Up(
                session_present=bool(flags.session_present),
                receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
                max_packet_bytes=getattr(properties, "MaximumPacketSize", 1 << 28),
            )
        )

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server and reason is not None:
            self._end(farewell(reason.value, str(reason)))
        elif reason is not None and reason.value == _KEEPALIVE_CODE:
            self._end(Failure(Cause.NO_ACK, "the broker does not answer the keep-alive", "half-open link?"))
        else:
            self._end(self._lost("the broker closed the connection"))

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        client = self._client
        code = client.strange_codes.pop(mid, reason.value) if client else reason.value
        self._aliases.answered(mid, accepted=not reason.is_failure)
        self._events.append(Published(mid, code))

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        self._events.append(Subscribed(tuple(reason.value for reason in reasons)))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        content = Message(topic=topic, payload=bytes(message.payload), retain=bool(message.retain))
        self._events.append(Received(content, message.mid, message.qos))


def wait_for(fds: Sequence[tuple[int, int]], wake_fd: int | None, timeout_s: float) -> None:
    """poll() on `fds` (descriptor, events) and `wake_fd`, for at most `timeout_s`."""
    poller = select.poll()
    for fd, events in fds:
        poller.register(fd, events)
    if wake_fd is not None:
        poller.register(wake_fd, select.POLLIN)
    poller.poll(max(0, round(timeout_s * 1000)))


def _make_client(options: ConnectOptions, guarded: GuardedSocket, password: str | None) -> _Client:
    client = _Client(guarded, options)
    if options.login.username or password is not None:
        client.username_pw_set(options.login.username, password)
    if options.will is not None:
        client.will_set(options.will.topic, options.will.payload, qos=1, retain=options.will.retain)
    return client


def _send_connect(client: _Client, options: ConnectOptions) -> None:
    is_v5 = options.protocol is MqttVersion.V5
    client.connect(
        options.address.host,
        options.address.port,
        keepalive=options.keepalive_s,
        clean_start=options.clean if is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
        properties=_connect_properties(options) if is_v5 else None,
    )


def _connect_properties(options: ConnectOptions) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = options.max_packet_bytes
    if options.receive_maximum:
        properties.ReceiveMaximum = options.receive_maximum
    if options.session_expiry_s:
        properties.SessionExpiryInterval = min(options.session_expiry_s, 0xFFFFFFFF)
    return properties
