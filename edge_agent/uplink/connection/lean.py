"""Modules that a library imports for something we never use, loaded only when somebody does.

paho-mqtt imports `urllib.request`, and with it http, email and tempfile, to find the proxy for a socket it
opens itself. Ours is open already, and 2.5 MiB are a twelfth of what the whole daemon may take.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class _OnDemand(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Asked by the import system, which is content without.
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def on_demand(name: str) -> Iterator[None]:
    """What is imported within gets a stand-in for the submodule `name`, which loads it at its first use.
    Nobody else notices: a later `import` finds the real one."""
    if name in sys.modules:
        yield
        return
    parent, _, child = name.rpartition(".")
    sys.modules[name] = stand_in = _OnDemand(name)
    setattr(import_module(parent), child, stand_in)
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
