"""One device of the bus while it runs: whether it is there, when it is probed, what it puts off.

Pure. `device` brings it together; `breaker` and `probes` keep one that is silent from hurting the
others, `deferrals` one that says "later"; `view` is what a status says.
"""
