"""Where the broker is, reaching it, and one connection to it. Knows nothing of records.

address, dial         where the broker is, and reaching it without blocking
guard                 a bound on what it may send, and a count of what arrived
wire                  what goes over a connection, as values
mqtt, alias, lean     the only door to paho-mqtt, driven by our thread
backoff               pure: when to connect again
link                  a connection kept alive
"""
