"""How good the line is, and what a technician may do about it.

Pure. `figures` count over the recent past (`percentiles`, `ticks`), `symptoms` are what they show,
`diagnosis` turns those into hints by a table of rules, `quality` brings it together for one bus.
"""
