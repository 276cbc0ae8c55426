"""The spool: an append-only log of CRC-checked segments, one per stream, between records and uplink.

Constraints
    A gateway's disk is an SD card or a small SSD, loses power at any moment, fills up, flips bits, wears
    out by what is written to it, and one day refuses to write. None of that may stop the agent, and nothing
    may be lost in silence.

Layout of the directory
    lock                    held while a process uses the spool; names it
    <stream>/*.seg          segments of sample, summary, event, alarm, audit (bytes: segment.py)
    <stream>/*.gone         trace of a segment removed between others: its records were acknowledged
    births/<hash>           BIRTH records of dictionaries that stored records refer to
    cursors                 what is acknowledged: a hint, two slots, not synced
    losses                  losses no durable record declares yet, two slots, synced
    orders                  what was done while no agent ran, until a run has recorded it, two slots, synced
    windows-0, windows-1    open summary windows as they were last, in turn (checkpoints.py), synced
    free/                   files of freed segments, at most 4, to be used again by this run
    quarantine/             what could not be understood, or is no file under a file's name; at most 16

Invariants
    1. State is what names and contents say. `cursors` may be lost, old or ahead: records are then sent
       again, never skipped.
    2. A segment is written by one run, front to back, each byte of its content once. What stands behind the
       content (zeros, or an earlier segment's frames, whose CRC has another salt) never counts. An old
       segment is only ever read or given up. A torn tail needs no repair.
    3. A file is used again only by the run that freed it, after its old name is durably gone and its
       header durably destroyed, and only while it has no other name. `free/` is emptied at open.
    4. Every seq of a segment's stretch is a whole frame, a hole (its loss was declared when it was
       dropped) or damage (declared when it is found). A missing file is damage of the one before it.
    5. A loss is durable in `losses` before its records are removed and before a record behind it is
       written, and taken out when the GAP record that declares it is durable. What cannot be noted is not
       done: no eviction, expiry or purge without it.
    6. A BIRTH is durable in births/ before a record that refers to it is written.
    7. What a killed run left in the system's cache is synced before the next run says that it is there.
    8. Only regular files are opened, never through a link, and none larger than 64 MiB is read. A name or
       header is believed only within bounds that leave room to go on behind it.
    9. One thread writes (append, commit, expire, purge, close), one reads (read, refuse, ack); the lock
       covers what both see and is never held during a write, sync, unlink or scan of a file.

Durability
    `append` hands records to the system: a killed process (SIGKILL) loses none of them. `commit` is one
    fdatasync per stream with something new, and of the directory when the file is new: a power cut
    loses what was appended since the last commit, and START of the next run says from when to when.
    Commits come by time and by size (writer.py); alarms, audits and the ends of an epoch at once, START
    before anything else of its epoch is written: else something of a run outlives what declares it.
    After a failed write or fdatasync the descriptor is closed and never synced again; all records not
    known to be durable, still held in memory, go to a new segment. If that fails too, the spool lives in
    memory and tries the disk again every 5 s. Memory is bounded: what is acknowledged goes first, then
    the oldest of the lowest class, an eighth of all at a time, declared.

    A summary that ends a window which `windows-*` may still hold is not sent before it is durable: the next
    run tells by its number whether that window was recorded (records/checkpoint.py). Only a spool in memory
    sends it at once; a restart after that may send such a window again.

    A commit overwrites blocks that are there, so that nothing but them reaches the disk. A new file grows by
    zeros, each time to twice its size, from 8 KiB up: written zeros, because blocks that are only reserved
    cost a journal commit when they are first written. A file that is used again has its full size. So a
    stream that is acknowledged as it grows goes round in two files.

    Once per commit interval the names of the active segments, state files and lock are compared with
    their descriptors. Files removed or moved away by others are a failed disk: the directories, lock,
    state files and births are made again, what memory holds goes to new segments, and what only the
    vanished ones held is declared. If another agent has the new lock, this one lives in memory.

Acknowledgement
    An ack means: this record will not be asked for again. It does not mean that the record is durable
    here, nor that a consumer has it; which of PUBACK and application ack it is, the uplink decides. It can
    be read on request (`acked_too`) for as long as `keep` has room for it.

Space
    Freed by unlink or by using a file again, both of which work on a full disk. Beyond `keep`, the oldest
    segment of which all is acknowledged goes, of whichever stream, except the newest of its stream. Beyond
    `max_bytes`, below `min_free_bytes`, or at ENOSPC go in this order: a free file; kept segments;
    acknowledged ones that lie between others; then, each with a declared loss, the oldest of the lowest
    class that holds more than its share (space.py: SHARES), of the lowest class that has one to spare, and
    last the newest of sample and summary. A `max_bytes` below 384 KiB and twice the births would leave no
    segment alone and is taken for that.

Age
    Samples, summaries and alarms older than `max_age` are given up. Only times of a synchronised clock
    count, on both sides: a gateway that starts in 1970 makes nothing old, nor young. What has no such time
    is as old as the record behind it that has one. `event` and `audit`
    never expire and cannot be purged: they are the account of the others.
"""

from edge_agent.spool.births import Birth
from edge_agent.spool.log import Spool
from edge_agent.spool.space import Limits
from edge_agent.spool.state import StoredRecord, Stretch
from edge_agent.spool.stats import Stats
from edge_agent.spool.writer import SpoolWriter

__all__ = ["Birth", "Limits", "Spool", "SpoolWriter", "Stats", "StoredRecord", "Stretch"]
