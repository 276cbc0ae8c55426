"""Records: what the agent says, as numbered msgpack messages of at most 16 KiB.

    results -> writer.py -> bodies.py / events.py -> envelope.py -> EncodedRecord -> spool
                  |                                      |
             dictionary.py                            pack.py (the door to msgpack)

decode.py goes the other way, for receivers. docs/record-format.md is the format's specification; its
examples are tested. Nothing here reads a clock, opens a file or knows how records are stored or sent.
"""
