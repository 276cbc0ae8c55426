"""Blocks of the bus become samples, window summaries and alarm transitions. Pure: no clock, no I/O.

`stage` is the door: it takes events and times and returns results (`results`). `tables` lays a site
out for the kernels, `plans` says once what a request means, `spans` when a window is over, `openwindows`
how one outlives its run, `silent` watches devices, `texts` does what the kernels do not; `readout` and
`verdicts` say what they found.
"""
