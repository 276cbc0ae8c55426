"""Rows of a summary to the bytes of a column body and back, in one kernel for both directions.

Owns how the columns of a window are foreseen. There is one slot for each column, so a column is foreseen
from the row before; the numbers of a row also from each other: the largest from the least; mean, first
and last from the middle between them. Kinds are those of samples, without what no summary has.

The arrays are the caller's: `rows` holds WINDOW_COLUMNS columns of `n` cells (alias, count, bad, missing,
quality, then the kinds of the numbers), `floats` WINDOW_NUMBERS columns of `n` (least, largest, mean,
deviation, first, last), `work` WINDOW_CELLS, all 0. The kinds of floats are replaced as in `sample_columns`.
"""

from __future__ import annotations

from edge_agent.kernels.coder import begin, code_number, finish, moved_scale, sign_of
from edge_agent.kernels.column_layout import (
    DECIMAL,
    DEVIATION,
    DOUBLE,
    FAILED,
    FITS,
    FORM_AT,
    INTEGER,
    KIND,
    LARGEST,
    LARGEST_OF,
    LAST_FORM,
    LAST_NUMBERS,
    LAST_SCALES,
    LAST_SIGNS,
    LEAST,
    LOOKUP,
    NIL,
    NO_FORM,
    OF_NEXT,
    ROW_FORM,
    ROW_RANGES,
    SINGLE,
    SLOT,
    WINDOW_COLUMNS,
    WINDOW_INTEGERS,
    WINDOW_KINDS_AT,
    WINDOW_NUMBERS,
)
from edge_agent.kernels.decimals import (
    checked_decimal,
    fitting_form,
    from_parts,
    is_plain,
    lower_part,
    to_decimal,
    try_decimals,
    upper_part,
)
from edge_agent.kernels.layout import Buffer, Floats, Ints
from edge_agent.kernels.registry import kernel
from edge_agent.kernels.sample_columns import code_unless_usual
from edge_agent.kernels.slots import code_in_slot, code_low_bits, within


@kernel("i64(i64)", exported=False)
def column_slot(column: int) -> int:
    return LOOKUP + column * SLOT


@kernel("i64(i64, i64, i64*, f64*, i64*)", exported=False)
def form_of_row(i: int, n: int, rows: Ints, floats: Floats, work: Ints) -> int:
    """Encoding: the form that fits least, largest, first and last; NO_FORM if there is none."""
    scratch = column_slot(WINDOW_COLUMNS)
    for rounding in range(3):
        work[scratch + FITS + rounding] = 0
    tried = 0
    for column in range(WINDOW_NUMBERS):
        value = floats[column * n + i]
        is_raw = column in (LEAST, LARGEST_OF) or column > DEVIATION
        if is_raw and rows[(WINDOW_INTEGERS + column) * n + i] == DOUBLE and is_plain(value) != 0:
            try_decimals(value, scratch, work)
            tried = 1
    # A row without numbers says again what the row before said, which costs nothing.
    return fitting_form(scratch, work) if tried != 0 else work[LAST_FORM]


@kernel("i64(f64, i64)", exported=False)
def kind_of(value: float, form: int) -> int:
    """Encoding: what a float is coded as."""
    if form != NO_FORM and is_plain(value) != 0 and to_decimal(value, form) != LARGEST:
        return DECIMAL
    return SINGLE if lower_part(value) == 0 else DOUBLE


@kernel("i64(i64, i64, i64*)", exported=False)
def foreseen_number(column: int, domain: int, work: Ints) -> int:
    """`domain`: 0 for decimals, 1 for upper parts."""
    known = ROW_RANGES + 3 * domain
    if column in (LEAST, DEVIATION) or work[known + 2] == 0:
        return work[column_slot(WINDOW_INTEGERS + column) + LAST_NUMBERS + domain]
    if column == LARGEST_OF:
        return work[known]
    return (work[known] + work[known + 1]) // 2


@kernel("void(i64, i64, i64, i64*)", exported=False)
def note_number(column: int, domain: int, number: int, work: Ints) -> None:
    known = ROW_RANGES + 3 * domain
    work[column_slot(WINDOW_INTEGERS + column) + LAST_NUMBERS + domain] = number
    if column == LEAST or (column == LARGEST_OF and work[known + 2] == 0):
        work[known] = number
    if column in (LEAST, LARGEST_OF):
        work[known + 1] = number
        work[known + 2] = 1


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_one(column: int, domain: int, number: int, work: Ints, data: Buffer) -> int:
    slot = column_slot(WINDOW_INTEGERS + column) + domain
    guess = foreseen_number(column, domain, work)
    scale = work[slot + LAST_SCALES]
    error = code_number(number - guess, OF_NEXT, scale, work[slot + LAST_SIGNS], work, data)
    work[slot + LAST_SCALES] = moved_scale(scale, error)
    work[slot + LAST_SIGNS] = sign_of(error)
    return within(guess + error, work)


@kernel("f64(i64, i64, f64, i64*, u8*)", exported=False)
def code_float(column: int, kind: int, value: float, work: Ints, data: Buffer) -> float:
    form = work[ROW_FORM]
    if kind == DECIMAL:
        number = code_one(column, 0, to_decimal(value, form), work, data)
        note_number(column, 0, number, work)
        value = checked_decimal(number, form, work)
    else:
        upper = code_one(column, 1, upper_part(value), work, data)
        low = 0
        if kind == DOUBLE:
            low = code_low_bits(column_slot(WINDOW_INTEGERS + column), lower_part(value), 29, work, data)
        value = from_parts(upper, low, work)
    note_number(column, 1, upper_part(value), work)
    return value


@kernel("void(i64, i64, i64*, f64*, i64*, u8*)", exported=False)
def code_numbers(i: int, n: int, rows: Ints, floats: Floats, work: Ints, data: Buffer) -> None:
    form = form_of_row(i, n, rows, floats, work)
    work[ROW_FORM] = code_unless_usual(form, work[LAST_FORM], FORM_AT, 5, work, data)
    work[LAST_FORM] = work[ROW_FORM]
    work[ROW_RANGES + 2] = 0
    work[ROW_RANGES + 5] = 0
    for column in range(WINDOW_NUMBERS):
        at = (WINDOW_INTEGERS + column) * n + i
        slot = column_slot(WINDOW_INTEGERS + column)
        kind = rows[at]
        if kind != NIL:
            kind = kind_of(floats[column * n + i], work[ROW_FORM])
        context = WINDOW_KINDS_AT + 16 * column
        kind = code_unless_usual(kind, work[slot + KIND], context, 3, work, data)
        work[slot + KIND] = kind
        rows[at] = kind
        if kind in (SINGLE, DOUBLE, DECIMAL):
            floats[column * n + i] = code_float(column, kind, floats[column * n + i], work, data)
        elif kind != NIL:
            work[FAILED] = 1


@kernel("i64(i64, i64, i64*, f64*, i64*, u8*, i64)")
def window_columns(
    decoding: int, n: int, rows: Ints, floats: Floats, work: Ints, data: Buffer, size: int
) -> int:
    """As `sample_columns`, for rows of a summary."""
    begin(decoding, size, work, data)
    for i in range(n):
        for column in range(WINDOW_INTEGERS):
            at = column * n + i
            rows[at] = code_in_slot(column_slot(column), INTEGER, rows[at], work, data)
        code_numbers(i, n, rows, floats, work, data)
        if work[FAILED] != 0:
            return -1
    return finish(work, data)
