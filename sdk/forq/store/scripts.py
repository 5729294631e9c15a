"""The Lua scripts as text, each with the prelude it needs. Reads files; knows no Redis."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from forq.store.together import TOGETHER

#: Scripts on the registry of workers; all others are on one queue and have the prelude.
REGISTRY = frozenset({"heartbeat", "goodbye", "workers"})

#: What is no script, but goes into others.
PARTS = frozenset({"prelude", "enqueue_one"})


class Script(NamedTuple):
    """A script as Redis gets it: `sha` is the digest that EVALSHA takes."""

    name: str
    text: str
    sha: str


@cache
def load(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    text = _text(name)
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def source(name: str) -> str:
    """Return the text of ``lua/<name>.lua`` as it stands."""
    return (files("forq.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def _text(name: str) -> str:
    if name in REGISTRY:
        return source(name)
    if name == "together":
        # Their KEYS and ARGV are those of the function, so that they stay as they are.
        functions = [
            f"transitions.{each} = function(KEYS, ARGV)\n{_text(each)}\nend" for each in TOGETHER
        ]
        return "\n".join(["local transitions = {}", *functions, source(name)])
    parts = ("enqueue_one", "prelude", name) if name == "enqueue" else ("prelude", name)
    return "\n".join(source(part) for part in parts)
