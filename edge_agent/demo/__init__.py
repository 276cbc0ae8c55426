"""`edge-agent demo`: simulator, agent and receiver as they are installed, with a broker of their own.

Everything runs as ordinary child processes with the ordinary commands, in one folder that stays
behind, so that a newcomer can look at the files and repeat each step by hand.
"""
