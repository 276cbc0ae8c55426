"""When to make them, and in which order.

Pure. `schedule` says what is due (`phases` spreads it), `agenda` what that means for one device,
`shares` whose turn it is when the line cannot serve all, `pool` holds the order, `lane` what people and
programs asked for, `load` how much of the line may be used.
"""
