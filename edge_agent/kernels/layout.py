"""Where each number of a point, a filter or an alarm stands in the tables that kernels work on.

There are four tables, `config_i` and `state_i` of i64, `config_f` and `state_f` of f64, all cut into
rows of `ROW` cells. A row number means the same thing in all four: the first rows are the points in
the order of their index, then come the filter rows (one per stage, a point's stages in order), the
alarm rows (a point's alarms side by side), and rows full of invalid raw values. So one offset `at`
(row * ROW) finds everything about a thing, a kernel needs four pointers whatever a point consists
of, and the state of a thing is copied to other tables by copying one row of `state_i` and `state_f`.

Invariants: configuration is never written by a kernel; a new state row is `0` in every cell but
those of `INITIAL_I`; cells that no name below claims stay 0.
"""

from __future__ import annotations

import ctypes
from typing import TypeAlias

Bytes: TypeAlias = "bytes | ctypes.Array[ctypes.c_uint8]"
Buffer: TypeAlias = "bytearray | ctypes.Array[ctypes.c_uint8]"
Ints: TypeAlias = "ctypes.Array[ctypes.c_int64]"
Floats: TypeAlias = "ctypes.Array[ctypes.c_double]"

ROW = 16

# --- qualities (the same numbers as in the model; a kernel can only read module-level ints) ---
GOOD = 0
IMPLAUSIBLE = 2
CLOCK = 3
FIRST_BAD = 64
INVALID = 67

# --- a point: config_i ---
TYPE = 0
WIDTH = 1
"""Registers of one value; 0: a packed bit of a coil or discrete input."""
ADDRESS = 2
LOW_WORD_FIRST = 3
BYTES_SWAPPED = 4
SLICE_LOW = 5
SLICE_COUNT = 6
"""Bits of the slice that starts at bit SLICE_LOW; 0: no slice."""
INVALID_AT = 7
"""Cell of the first invalid raw value (two's complement, 64 bits); INVALID_COUNT follow."""
INVALID_COUNT = 8
HAS_PLAUSIBLE = 9
FILTER_AT = 10
"""Cell of the row of the first filter stage; FILTER_COUNT rows follow."""
FILTER_COUNT = 11
ALARM_AT = 12
"""Cell of the row of the first alarm; ALARM_COUNT rows follow."""
ALARM_COUNT = 13
WINDOWED = 14
"""1: the point's values enter its window."""

# --- a point: config_f ---
SCALE = 0
OFFSET = 1
PLAUSIBLE_LOW = 2
PLAUSIBLE_HIGH = 3

# --- a point: state_i ---
RAW = 0
"""The register's integer, u64 as two's complement; for floats their bit pattern."""
QUALITY = 1
"""Quality of the last poll; NEVER before the first."""
POLL_NS = 2
GOOD_NS = 3
"""Time of the last usable value; NEVER before the first."""
CHANGED = 4
"""1: the last poll differs from what the point said before, in value or quality."""
SAID_RAW = 5
SAID_QUALITY = 6
COUNT = 7
BAD = 8
MISSING = 9
WORST = 10

# --- a point: state_f ---
NUMBER = 0
"""The register's number before scale and offset."""
VALUE = 1
"""NUMBER in the unit. Keeps its last content while the quality is bad."""
FILTERED = 2
"""What the filters made of the last usable value; the value itself without filters."""
GOOD_VALUE = 3
"""VALUE of the last usable poll."""
SAID = 4
MIN = 5
MAX = 6
MEAN = 7
M2 = 8
"""Sum of squared distances from the running mean (Welford)."""
FIRST = 9
LAST = 10

# --- a filter stage ---
F_KIND = 0  # config_i
F_SAMPLES = 1
F_PARAMETER = 0  # config_f: tau in ns, or the width of the dead band
F_FILLED = 0  # state_i: good values seen, at most F_SAMPLES (or 1)
F_NEXT = 1
F_NS = 2
F_OUT = 0  # state_f
F_RING = 1
"""MEDIAN_MOST cells follow."""
MEDIAN_MOST = 15

MEDIAN = 1
LOWPASS = 2
DEADBAND = 3

# --- an alarm ---
A_KIND = 0  # config_i
A_RAW_INPUT = 1
A_ON_DELAY_NS = 2
A_OFF_DELAY_NS = 3
A_LOW = 0  # config_f
A_HIGH = 1
A_DEADBAND = 2
A_STATE = 0  # state_i
A_ELAPSED_NS = 1
A_VALUE = 0  # state_f: what was compared when the alarm was last raised or cleared

ABOVE = 1
BELOW = 2
OUTSIDE = 3
RATE_ABOVE = 4
EQUALS = 5

NORMAL = 0
PENDING_ON = 1
ACTIVE = 2
PENDING_OFF = 3

RAISED = 1
CLEARED = 2

MOVE = 2
"""Cells of one transition in `moves`: the alarm's cell, and RAISED or CLEARED."""

# --- a window that was read: rows of `out_i` and `out_f` ---
OUT = 6
OUT_COUNT = 0  # out_i
OUT_BAD = 1
OUT_MISSING = 2
OUT_WORST = 3
OUT_MIN = 0  # out_f
OUT_MAX = 1
OUT_MEAN = 2
OUT_STD = 3
OUT_FIRST = 4
OUT_LAST = 5

# --- types of a point ---
BOOL = 0
U16 = 1
S16 = 2
U32 = 3
S32 = 4
U64 = 5
S64 = 6
F32 = 7
F64 = 8
BCD16 = 9
BCD32 = 10

NEVER = -1
"""Monotonic times and qualities are never negative."""

INITIAL_I = ((QUALITY, NEVER), (GOOD_NS, NEVER), (SAID_QUALITY, NEVER))
"""Cells of a new point's `state_i` row that are not 0."""
