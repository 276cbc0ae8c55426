"""The first run: from what a technician answers to a configuration that is proven before it is written.

    answers (values) -> rendering (text of agent.toml) -> proof (the program's own loader) -> files

Pure but for `terminal` (questions), `ports` (which serial ports there are), `asking_line` (reads that
identify a device), `reach` (one CONNECT to the broker) and `files`. Must not know commands: those of
`cli/` put the parts together.
"""
