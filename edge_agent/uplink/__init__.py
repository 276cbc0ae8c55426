"""From the spool to the broker: what to publish next, and the MQTT client that does it.

    topics, payloads      names and small documents of both sides
    outbox                what the uplink needs of a spool, and one in memory
    session               pure: which record next, and what an answer means, with
      queue, hist, bucket   the order, and the rate of what is not live
      flight                what is unanswered, and when the link is dead
      reasons, refusals     the broker's codes, what it refuses, what is given up
      suspects              records over which it hangs up
      confirm               receivers' acknowledgements
      replay                what receivers asked for again
    requests, inbox       what is asked below dn/: judged, carried out, audited
    feed, mirror          joins outbox and session; births, status, alarm states
    backoff               pure: when to connect again
    address, dial, guard  where the broker is, reaching it, and a bound on what it may send
    mqtt, alias, lean     the only door to paho-mqtt: one connection, driven by our thread
    link, sender, report  a connection kept alive; the thread that joins them; how it stands

A record is forgotten only after its acknowledgement; whatever is uncertain is sent again, and the
receiver drops duplicates by (agent, epoch, stream, seq).
"""
