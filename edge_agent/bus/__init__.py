"""The bus: from a schedule of points to outcomes of reads, on a serial line, over TCP or TLS.

    schedule/ -> plan/ -> schedule/pool -> lines/ (ports/, wire/) -> outcomes -> worker -> sink
                   ^                                                    |
                   +---------------- device/ <--------------------------+-> quality/

`outcomes` and `line` are the vocabulary: what a request comes to, and whom it is given to. `worker` is
the thread of one bus; `timetable`, `errands`, `handover`, `tallies` and `report` are what it does for
others. `scan/` stands beside it. A line here imports only from lines above it
(tests/unit/test_structure.py):

    outcomes, wire/, line, ports/, lines/, schedule/, plan/, device/, quality/, scan/, the worker's own
"""
