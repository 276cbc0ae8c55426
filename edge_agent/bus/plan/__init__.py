"""Which requests to make: the points that are due as the reads that cost the line least.

Pure. `planner` (with `atoms`, `partition` and `cost`) plans; `refusals`, `silences` and `debts` are
what is known of a device that forbids a plan; `demand`, `forecast` and `overload` foresee what a
configuration asks of a line.
"""
