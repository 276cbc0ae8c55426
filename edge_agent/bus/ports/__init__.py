"""Bytes in and out: serial ports, sockets and TLS, each of which opens, fails and closes in one way.

Shells. `port` is the only door to pyserial; `rs485`, `by_id`, `owner` and `port_faults` know what Linux does
with a serial port, `resolver` and `socket_port` what a network does. Nothing here knows what the bytes mean,
but `ascii_port`, which translates.
"""
