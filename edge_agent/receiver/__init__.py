"""The other side: every value, and the proof that none is missing.

    intervals, continuity   pure: which records were seen, declared lost, or are missing
    objects, text           a decoded record as JSON objects, and as lines for people
    state                   what must survive a restart of the receiver, in one file
    receiver                the MQTT subscriber: decodes, checks, emits, then acknowledges

Knows records and topics, nothing of the agent's inside.
"""
