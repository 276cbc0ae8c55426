"""The spool: an append-only log of CRC-checked segments, one per stream, between records and uplink.

Constraints
    A gateway's disk is an SD card or a small SSD, loses power at any moment, fills up, flips bits and
    one day refuses to write. None of that may stop the agent, and nothing may be lost in silence.

Layout of the directory
    lock                    held while a process uses the spool; names it
    <stream>/*.seg          segments of sample, summary, event, alarm (bytes: segment.py)
    <stream>/*.gone         trace of a segment removed between others: its records were acknowledged
    births/<hash>           BIRTH records of dictionaries that stored records refer to
    cursors                 what is acknowledged: a hint, two slots, not synced
    losses                  losses no durable record declares yet, two slots, synced
    quarantine/             what could not be understood, or is no file under a file's name; at most 16

Invariants
    1. State is what names and contents say. `cursors` may be lost, old or ahead: records are then sent
       again, never skipped.
    2. A segment is written by one run, front to back, and never again: an old file is only ever read
       or removed. A torn tail needs no repair.
    3. Every seq of a segment's stretch is a whole frame, a hole (its loss was declared when it was
       dropped) or damage (declared when it is found). A missing file is damage of the one before it.
    4. A loss is noted in `losses` before its records are removed, and taken out when the GAP record
       that declares it is durable.
    5. A BIRTH is durable in births/ before a record that refers to it is written.
    6. Only regular files are opened, never through a link, and none larger than 64 MiB is read. A name or
       header is believed only within bounds that leave room to go on behind it.
    7. One thread writes (append, commit, close), one reads (read, ack); the lock covers what both see
       and is never held during a write, sync, unlink or scan of a file.

Durability
    `append` hands records to the system: a killed process (SIGKILL) loses none of them. `commit` is one
    fdatasync per stream with something new, and of the directory when the file is new: a power cut
    loses what was appended since the last commit, and START of the next run says from when to when.
    After a failed write or fdatasync the descriptor is closed and never synced again; all records not
    known to be durable, still held in memory, go to a new segment. If that fails too, the spool lives in
    memory (bounded, oldest of the lowest class first, declared) and tries the disk again every 5 s.

    Once per commit interval the names of the active segments, state files and lock are compared with
    their descriptors. Files removed or moved away by others are a failed disk: the directories, lock,
    state files and births are made again, what memory holds goes to new segments, and what only the
    vanished ones held is declared. If another agent has the new lock, this one lives in memory.

Acknowledgement
    An ack means: this record will not be asked for again. It does not mean that the record is durable
    here, nor that a consumer has it; which of PUBACK and application ack it is, the uplink decides.

Space
    Freed by unlink of whole segments, which works on a full disk. The oldest segment goes when all of it
    is acknowledged, except the newest of its stream. Beyond `max_bytes`, below `min_free_bytes`, or at
    ENOSPC: first acknowledged segments that lie between others, then the oldest of sample, of summary,
    and only when neither has one, of event and alarm; each with a declared loss. A `max_bytes` below
    256 KiB and twice the births would leave no segment alone and is taken for that.
"""

from edge_agent.spool.births import Birth
from edge_agent.spool.log import Spool, Stats
from edge_agent.spool.space import Limits
from edge_agent.spool.state import StoredRecord, Stretch
from edge_agent.spool.writer import SpoolWriter

__all__ = ["Birth", "Limits", "Spool", "SpoolWriter", "Stats", "StoredRecord", "Stretch"]
