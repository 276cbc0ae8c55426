"""What is wrong with a gateway, in a technician's words: `edge-agent doctor`.

    probes/ -> facts -> judgements (the modules here) -> findings -> show

A judgement takes facts and returns findings; it opens nothing. A probe gathers facts, is bounded in time,
changes nothing and sends nothing on a bus: no serial port is opened, because opening one raises RTS and may
turn an RS-485 transceiver round. `case`, `checks` and `examine` join the two; a check that fails is a finding
and never the end of the others.
"""
