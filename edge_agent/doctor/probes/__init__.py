"""Gather the facts the doctor judges: read, ask, connect and close, and change nothing.

Shells. Nothing here says what a fact means. Folders of the system are arguments, so that a test can give its
own. What a file system or name server does not answer in time is left behind by `bounded`.
"""
