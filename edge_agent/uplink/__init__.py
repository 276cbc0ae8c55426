"""From the spool to the broker: what to publish next, and the MQTT client that does it.

    topics, payloads      names and small documents of the agent's side
    outbox                what the uplink needs of a spool, and one in memory
    session               pure: which record next, window, rates, what an ack means
    backoff, reasons      pure: when to connect again, what the broker's codes mean
    address, dial, guard  where the broker is, reaching it, and a bound on what it may send
    mqtt                  the only door to paho-mqtt: one connection, driven by our thread
    sender                the thread that joins them

A record is forgotten only after its acknowledgement; whatever is uncertain is sent again, and the
receiver drops duplicates by (agent, epoch, stream, seq).
"""
