"""What is on a line that nobody knows: speed, format, unit ids.

Pure but for `scanner`, which asks. `scan` decides what to ask next, `settings` in which order, `unit`
and `sounds` what was heard of whom, `hints` what to tell the technician.
"""
