"""Device profiles: pure data about devices, and how a configuration is resolved with them.

    firmware_profiles/<vendor>/<family>.toml -> library -> Profile
    Config + Profile -> resolve -> model.Site

Owns the profile schema, the rules of register maps, the search for files. Must not know the bus,
time or anything that runs. A profile holds no code, no expressions, no patterns that need an engine.
"""

from edge_agent.profiles.library import Library, default_library, packaged
from edge_agent.profiles.load import parse
from edge_agent.profiles.resolve import as_device, load_site, resolve, site_of
from edge_agent.profiles.tree import Profile

__all__ = [
    "Library",
    "Profile",
    "as_device",
    "default_library",
    "load_site",
    "packaged",
    "parse",
    "resolve",
    "site_of",
]
