"""A second decoder, by somebody who had docs/record-format.md and nothing else of this repository.

    payload -> encoding.py -> decoder.py -> rows, events, dictionaries
                                  |
                               coder.py (kinds 9 and 10)

It is worth something only as long as it does not know the program: it imports nothing of `edge_agent`, and
must not be made to agree with it by reading it. Where the two differ, the document says who is right, or is
mended until it does; then each follows the document. Section numbers here are the document's.
"""
