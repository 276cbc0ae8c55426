"""A request in, an outcome out: the implementations of `bus.line.Line`.

`serial_line` with its compiled loop (`talker`), `stream` (a serial line behind a device server), `tcp`
(Modbus TCP and TLS). `kept` is what they do alike, `make` chooses, `fake` is for tests of whoever
stands above.
"""
