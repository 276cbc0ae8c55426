"""Pure: which record is published next, and what the broker's and the receivers' answers mean.

    session               puts the others together, for one connection at a time
    queue, hist, bucket   the order, and the rate of what is not live
    replay                what receivers asked for again
    flight                what is unanswered, and when the link is dead
    refusals, suspects    what is refused; records over which the broker hangs up
    confirm               receivers' acknowledgements
    items, limits         what can be published; the bounds

No socket, no clock, no thread.
"""
