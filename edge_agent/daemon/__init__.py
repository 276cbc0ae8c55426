"""Wiring: threads, queues, shutdown order, the status socket, systemd.

    bus threads -> Intake (bounded) -> pipeline thread -> spool writer's queue (bounded) -> uplink thread
    main thread: signals, supervision, watchdog            status thread: one JSON snapshot per connection

Nothing is decided here that a pure module could decide; this package only holds threads and files.
"""
