"""Where each number of the column coder stands in its work table, and what the numbers in it mean.

The table is one i64 array, all zero at the beginning of a body: first the coder itself, then the
adaptive contexts, then the lookup of slots by alias, then the slots, each what is known of one point
(or, in summaries, of one column). docs/record-format.md, section 6, gives the same by words.
"""

from __future__ import annotations

LARGEST = 1 << 56
"""No time and no number beyond it enters the coder, so that no sum here leaves 64 bits."""
MOST_ROWS = 4096

# --- the coder ---
DECODING = 0
LOW = 1
"""Encoding: the interval's lower end. Decoding: the code's distance from it."""
RANGE = 2
AT = 3
END = 4
FAILED = 5

# --- what is known of the rows before ---
PREVIOUS = 6
"""Cell of the slot of the row before, 0 at the first row."""
TIME = 7
REGULAR = 8
"""1: the row before was as expected."""
LAST_FORM = 9
ALIAS_SCALE = 10
TIME_SCALE = 11
TIME_COST = 12
"""Three cells: what each way to expect a time has cost lately."""
SLOTS = 15
"""How many slots there are."""
FIRST_NUMBER = 16
"""Eight cells, one per domain, as for the two below."""
FIRST_SCALE = 24
SECOND_SCALE = 32
CELLS = 40
"""Of the lookup."""
ROWS = 41
ROW_FORM = 42
ROW_RANGES = 44
"""Summaries, for the decimals of a row and behind them for the upper parts: least, largest, and how many
of the two are known."""

# --- contexts: a cell is (probability ^ 32768) * 256 + times used, so that 0 is even odds, unused ---
REGULAR_AT = 64
ALIAS_AT = 72
BEGINS_AT = 74
KIND_AT = 76
KINDS_AT = 80
QUALITY_AT = 88
QUALITIES_AT = 96
FORM_AT = 352
FORMS_AT = 356
BANKS = 392

# A bank codes signed numbers: zero or not, size, sign, the bit below the highest.
BANK = 288
SIZES = 16
SIGNS = 272
HALVES = 275
OF_TIMES = BANKS
OF_NEXT = BANKS + BANK
OF_SECOND = BANKS + 2 * BANK
OF_FIRST = BANKS + 3 * BANK
OF_LOW = BANKS + 4 * BANK
OF_ALIASES = BANKS + 5 * BANK
LOOKUP = BANKS + 6 * BANK
"""A power of two of cells, at least two for each row, each the cell of a slot or 0."""

# --- a slot ---
SLOT = 28
ALIAS = 0
FOLLOWER = 1
"""The alias that came after it last, plus 1; 0: none did."""
BEGINS = 2
"""1: its last row had another time than the row before."""
KIND = 3
QUALITY = 4
SEEN = 5
"""Rows, at most 2."""
LAST_TIME = 6
STEP = 7
MEAN_STEP = 8
"""In sixteenths."""
GAP = 9
GAP_SCALE = 10
"""Plus 1; 0: no time of it was coded yet."""
DOMAIN = 11
KNOWN = 12
"""Numbers of this domain, at most 2."""
NUMBER = 13
NUMBER_BEFORE = 14
MEAN = 15
"""In sixteenths."""
COST = 16
SCALE = 19
SIGN = 20
LOW_BITS = 21
LOW_SCALE = 22
FORM = 23
"""Plus 1; 0: none yet."""
FITS = 24
"""Three cells, encoding only: decimals that fit every number so far, by rounding; -1: none does."""

# --- a slot of a column of numbers in summaries: the same cells, for decimals and behind for upper parts ---
LAST_NUMBERS = NUMBER
LAST_SCALES = COST
LAST_SIGNS = FITS

# --- kinds of a value ---
NIL = 0
INTEGER = 1
SINGLE = 2
DOUBLE = 3
DECIMAL = 4
WIDE = 5
TRUTH = 6
TEXT = 7

# --- forms of a decimal: 3 * decimals + rounding ---
DIVIDED = 0
DIVIDED_SINGLE = 1
MULTIPLIED = 2
NO_FORM = 31
MOST_DECIMALS = 6

# --- rows of samples: a column each, `n` cells apart ---
ROW_TIMES = 0
ROW_ALIASES = 1
ROW_KINDS = 2
ROW_QUALITIES = 3
ROW_NUMBERS = 4
ROW_LOWS = 5
ROW_COLUMNS = 6

# --- rows of summaries: integers, then the kinds of the numbers, which are columns of floats ---
WINDOW_INTEGERS = 5
WINDOW_NUMBERS = 6
WINDOW_COLUMNS = WINDOW_INTEGERS + WINDOW_NUMBERS
WINDOW_CELLS = LOOKUP + (WINDOW_COLUMNS + 1) * SLOT
"""One slot more than columns: encoding, decimals are tried in the last."""
LEAST = 0
LARGEST_OF = 1
DEVIATION = 3
WINDOW_KINDS_AT = QUALITIES_AT
"""16 cells for each column of numbers; summaries say no quality by a tree."""
