"""From the spool to the broker: what to publish next, and the MQTT client that does it.

    topics, payloads      names and small documents of both sides
    reasons               the codes of both sides, and what each means
    outbox                what the uplink needs of a spool, and one in memory
    connection/           reaching a broker, and one connection to it
    sending/              pure: which record next, and what an answer means
    requests, inbox       what is asked below dn/: judged, carried out, audited
    feed, mirror          joins outbox and session; births, status, alarm states
    sender, report        the thread that joins them; how it stands

A record is forgotten only after its acknowledgement; whatever is uncertain is sent again, and the
receiver drops duplicates by (agent, epoch, stream, seq).
"""
