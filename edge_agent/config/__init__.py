"""Configuration files: bounded reading, positions, typed and checked trees.

    bytes -> toml (bounds, syntax) -> schema + keys (types, ranges) -> load (rules between keys) -> Config

Owns everything that a configuration says by itself. Must not know profiles, which are merged in
later by `edge_agent.profiles`, nor anything that runs. Every problem has file, line, key and hint.
"""

from edge_agent.config.load import load, parse, read
from edge_agent.config.tree import Config

__all__ = ["Config", "load", "parse", "read"]
