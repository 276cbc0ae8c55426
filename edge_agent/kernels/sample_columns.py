"""Rows of samples to the bytes of a column body and back, in one kernel for both directions.

Owns what is foreseen of a row before its number: the alias that followed last time, whether it has a
time of its own, the kind and quality of the point's last row. A row as foreseen costs a fraction of a
bit; otherwise each of the four is said.

The arrays are the caller's: `rows` holds ROW_COLUMNS columns of `n` cells, `floats` n, `work` as many as
`work_cells` says, all 0. Encoding, the kinds of floats in `rows` (DOUBLE) are replaced by those they are
coded in, and the contents of unused cells must be 0. Decoding writes all columns.
"""

from __future__ import annotations

from edge_agent.kernels.aliases import expected_alias, follows, lookup_cells, seen_slot, slot_of
from edge_agent.kernels.coder import begin, code_bit, code_number, code_tree, finish, moved_scale
from edge_agent.kernels.column_layout import (
    ALIAS,
    ALIAS_AT,
    ALIAS_SCALE,
    BEGINS,
    BEGINS_AT,
    CELLS,
    DECIMAL,
    DOUBLE,
    FAILED,
    FORM,
    FORM_AT,
    INTEGER,
    KIND,
    KIND_AT,
    LARGEST,
    LAST_FORM,
    NIL,
    NO_FORM,
    OF_ALIASES,
    PREVIOUS,
    QUALITY,
    QUALITY_AT,
    REGULAR,
    REGULAR_AT,
    ROW_ALIASES,
    ROW_KINDS,
    ROW_LOWS,
    ROW_NUMBERS,
    ROW_QUALITIES,
    ROW_TIMES,
    ROWS,
    SEEN,
    SINGLE,
    TIME,
    WIDE,
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
from edge_agent.kernels.slots import code_in_slot, code_low_bits
from edge_agent.kernels.times import code_time, note_time


@kernel("void(i64, i64*, f64*, i64*)", exported=False)
def choose_kinds(n: int, rows: Ints, floats: Floats, work: Ints) -> None:
    """Encoding: which floats are coded as decimals, as singles, as doubles."""
    for i in range(n):
        if rows[ROW_KINDS * n + i] == DOUBLE and is_plain(floats[i]) != 0:
            try_decimals(floats[i], slot_of(rows[ROW_ALIASES * n + i], work), work)
    for i in range(n):
        if rows[ROW_KINDS * n + i] == DOUBLE:
            slot = slot_of(rows[ROW_ALIASES * n + i], work)
            form = fitting_form(slot, work) if is_plain(floats[i]) != 0 else NO_FORM
            number = to_decimal(floats[i], form) if form != NO_FORM else LARGEST
            # More decimals, which a later value asked for, may not fit an earlier one.
            if number != LARGEST:
                rows[ROW_KINDS * n + i] = DECIMAL
                rows[ROW_NUMBERS * n + i] = number
                continue
            rows[ROW_NUMBERS * n + i] = upper_part(floats[i])
            rows[ROW_LOWS * n + i] = lower_part(floats[i])
            if rows[ROW_LOWS * n + i] == 0:
                rows[ROW_KINDS * n + i] = SINGLE


# --- what is foreseen of a row, and what is said of it --------------------------------------------


@kernel("i64(i64, i64*)", exported=False)
def usual_begins(slot: int, work: Ints) -> int:
    return work[slot + BEGINS] if slot != 0 else 0


@kernel("i64(i64, i64, i64, i64*)", exported=False)
def usual(slot: int, cell: int, first: int, work: Ints) -> int:
    """Kind or quality of the point's last row; before it has one, that of the row before."""
    if slot != 0 and work[slot + SEEN] > 0:
        return work[slot + cell]
    return work[work[PREVIOUS] + cell] if work[PREVIOUS] != 0 else first


@kernel("i64(i64, i64, i64, i64, i64*, u8*)", exported=False)
def code_unless_usual(value: int, expected: int, context: int, bits: int, work: Ints, data: Buffer) -> int:
    if code_bit(1 if value == expected else 0, context, work, data) != 0:
        return expected
    return code_tree(value, bits, context + (8 if bits == 8 else 4), work, data)


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_alias(alias: int, expected: int, seen: int, work: Ints, data: Buffer) -> int:
    """The slot of an alias."""
    if code_bit(1 if alias == expected else 0, ALIAS_AT + seen, work, data) != 0:
        return slot_of(expected, work)
    distance = code_number(alias - expected, OF_ALIASES, work[ALIAS_SCALE], 0, work, data)
    work[ALIAS_SCALE] = moved_scale(work[ALIAS_SCALE], distance)
    return slot_of(expected + distance, work)


@kernel("i64(i64, i64, i64*, i64*, u8*)", exported=False)
def code_head(i: int, n: int, rows: Ints, work: Ints, data: Buffer) -> int:
    """All of row `i` but its time and number; returns its slot."""
    alias = rows[ROW_ALIASES * n + i]
    begins = 1 if rows[ROW_TIMES * n + i] != work[TIME] else 0
    kind = rows[ROW_KINDS * n + i]
    quality = rows[ROW_QUALITIES * n + i]
    expected = expected_alias(work)
    guess = seen_slot(expected, work)
    seen = 1 if guess != 0 else 0
    regular = 0
    if alias == expected and begins == usual_begins(guess, work):
        is_kind = kind == usual(guess, KIND, INTEGER, work)
        regular = 1 if is_kind and quality == usual(guess, QUALITY, 0, work) else 0
    context = REGULAR_AT + 4 * usual_begins(guess, work) + 2 * work[REGULAR] + seen
    work[REGULAR] = code_bit(regular, context, work, data)
    if work[REGULAR] != 0:
        slot = slot_of(expected, work)
        begins = usual_begins(slot, work)
        kind = usual(slot, KIND, INTEGER, work)
        quality = usual(slot, QUALITY, 0, work)
    else:
        slot = code_alias(alias, expected, seen, work, data)
        begins = code_bit(begins, BEGINS_AT + usual_begins(slot, work), work, data)
        kind = code_unless_usual(kind, usual(slot, KIND, INTEGER, work), KIND_AT, 3, work, data)
        quality = code_unless_usual(quality, usual(slot, QUALITY, 0, work), QUALITY_AT, 8, work, data)
    work[slot + BEGINS] = begins
    work[slot + KIND] = kind
    work[slot + QUALITY] = quality
    rows[ROW_ALIASES * n + i] = work[slot + ALIAS]
    rows[ROW_KINDS * n + i] = kind
    rows[ROW_QUALITIES * n + i] = quality
    return slot


# --- the number -----------------------------------------------------------------------------------


@kernel("i64(i64, i64*, u8*)", exported=False)
def code_form(slot: int, work: Ints, data: Buffer) -> int:
    """The form of a slot's decimals, said once."""
    if work[slot + FORM] == 0:
        form = fitting_form(slot, work)
        work[LAST_FORM] = code_unless_usual(form, work[LAST_FORM], FORM_AT, 5, work, data)
        work[slot + FORM] = work[LAST_FORM] + 1
    return work[slot + FORM] - 1


@kernel("void(i64, i64, i64, i64*, f64*, i64*, u8*)", exported=False)
def code_value(i: int, n: int, slot: int, rows: Ints, floats: Floats, work: Ints, data: Buffer) -> None:
    kind = rows[ROW_KINDS * n + i]
    if kind == NIL:
        return
    form = code_form(slot, work, data) if kind == DECIMAL else 0
    domain = SINGLE if kind == DOUBLE else kind
    number = code_in_slot(slot, domain, rows[ROW_NUMBERS * n + i], work, data)
    low = rows[ROW_LOWS * n + i]
    if kind == DOUBLE:
        low = code_low_bits(slot, low, 29, work, data)
    elif kind == WIDE:
        low = code_low_bits(slot, low, 32, work, data)
    rows[ROW_NUMBERS * n + i] = number
    rows[ROW_LOWS * n + i] = low
    if kind == DECIMAL:
        floats[i] = checked_decimal(number, form, work)
    elif domain == SINGLE:
        floats[i] = from_parts(number, low, work)


@kernel("i64(i64, i64, i64*, f64*, i64*, u8*, i64)")
def sample_columns(
    decoding: int, n: int, rows: Ints, floats: Floats, work: Ints, data: Buffer, size: int
) -> int:
    """Code `n` rows (1 to MOST_ROWS) to or from `data` of `size` bytes.

    Returns the bytes used; -1 where they have no room, or where the rows or the bytes are not such that
    the other direction would understand.
    """
    begin(decoding, size, work, data)
    work[CELLS] = lookup_cells(n)
    work[ROWS] = n
    if decoding == 0:
        choose_kinds(n, rows, floats, work)
    for i in range(n):
        slot = code_head(i, n, rows, work, data)
        follows(slot, work)
        if work[slot + BEGINS] != 0:
            code_time(slot, rows[ROW_TIMES * n + i], work, data)
        rows[ROW_TIMES * n + i] = work[TIME]
        note_time(slot, work)
        code_value(i, n, slot, rows, floats, work, data)
        if work[FAILED] != 0:
            return -1
    return finish(work, data)
