"""What is on a line, byte by byte: frames, their timing, one transaction, the silence after it.

Pure, without a port and without a clock: `frames`, `mbap` and `ascii` know the framings, `timing` how
long things take, `transaction` what a request comes to, `quiet` when the line may be spoken on again,
`manners` how one device is talked to, `overheard` what was heard beside the replies, `trace` and
`tracing` how to show it. `slack` is the one call to the kernel that makes a thread's timers exact.
"""
