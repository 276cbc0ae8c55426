"""The bus: from a schedule of points to outcomes of reads, on a serial line, over TCP or TLS.

    schedule -> planner -> pool -> line.run(plan, deadline) -> outcomes -> worker -> sink
       pure        pure    pure         shell (port, tcp)        pure       thread

Pure and without a clock: frames, timing, transaction, quiet, manners, planner (atoms, partition, cost),
refusals, silences, debts, schedule, load, pool, breaker, ascii; forecast (demand) and overload, which
foresee what a configuration asks of a line. Shells: port (the only door to pyserial), ascii_port
(translates), kept (what lines do alike), talker (the compiled loop), serial_line, stream (a serial line
behind a device server), resolver, socket_port, tls_port, tcp, worker.
`fake` is the port and the line for tests of everybody who stands above.
"""
