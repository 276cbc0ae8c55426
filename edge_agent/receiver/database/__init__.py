"""Records in SQLite or PostgreSQL, each exactly once.

    tables, schema        pure: what is stored, and how a database of an earlier version gets there
    entries               pure: a message as rows, as bytes that wait, or as bytes nobody can read
    coverage              pure: which seqs are there, as intervals; what a batch changes of them
    partitions            pure: which days or months have a partition of their own
    pgcopy, sqlstates     pure: rows in PostgreSQL's binary copy format; what its errors mean
    door                  what a database must be able to do, and how it can fail
    sqlite, postgresql    the two that can
    patience              ends a connection whose server hangs
    names                 ids of streams and series
    ledger                continuity: intervals, ends of epochs, what is missing, who asked for it
    shape                 pure: entries as rows with those ids
    waiting, holes        records without their dictionary; what is missing
    store                 one batch, one transaction
    isolate               a batch that holds what the database refuses

Invariants:
* one transaction holds a batch's values, its record keys and what it changes of the continuity. So after any
  crash a record is there whole or not at all, and a message is acknowledged to the broker only after that;
* (site, agent, epoch, stream, seq) is stored once, whoever delivers it and how often. The intervals of seen
  seqs decide it, under a lock on the stream; they outlive the values, so what was dropped as too old does not
  come back by a replay;
* what one message holds can never keep others out: bytes that make no rows are kept as bytes with the reason;
* locks are taken in the order of their ids, records inserted in the order of their keys.
"""
