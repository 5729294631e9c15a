"""A decision for a pool of a file, made here: by what its Redis shows now, or by given numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forq.client import DEFAULT_URL
from forq.errors import ConfigurationError
from forq.location import completed
from forq_operator.asking import given, live
from forq_operator.asking.answer import Answer
from forq_operator.deciding import decide
from forq_operator.fields import SpecError
from forq_operator.local.whereabouts import Named, named_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forq_operator.spec import Pool

_AFRESH = (
    "Asked afresh: what a running loop remembers (the windows of scaling.behavior, its rates) is"
    " not known here."
)
_SUPPOSED = "Supposed that these numbers have been so for long: no window holds a change back."


def choose(pools: Sequence[Pool], name: str | None, namespace: str | None) -> list[Pool]:
    """Return the pools that are meant; raises ConfigurationError when there is none."""
    found = [
        pool for pool in pools if name in (None, pool.name) and namespace in (None, pool.namespace)
    ]
    if not found:
        there = ", ".join(f"{pool.namespace}/{pool.name}" for pool in pools)
        raise ConfigurationError(f"there is no such pool in these files; there are: {there}")
    return found


def look(pool: Pool, named: Named, pools: Sequence[Pool]) -> Answer:
    """Decide by what the pool's Redis shows now; raises ForqError when it does not answer."""
    url = named_url(pool, named) or completed(DEFAULT_URL)
    sharing = [
        other
        for other in pools
        if other.redis.prefix == pool.redis.prefix
        and (named_url(other, named) or completed(DEFAULT_URL)) == url
    ]
    seen = live.look(pool, url, sharing)
    decision, _ = decide(pool, seen.observed, seen.state, seen.at)
    return Answer(pool, decision, _AFRESH)


def suppose(pool: Pool, options: Mapping[str, Any]) -> Answer:
    """Decide by the numbers that are given; raises ConfigurationError for impossible ones."""
    try:
        numbers = given.read(_document(options["observed"])) if options["observed"] else None
        numbers = _merged(numbers or given.Given(), pool, options)
        seen, state = given.observed(numbers, pool, 0.0)
    except SpecError as error:
        raise ConfigurationError(str(error)) from None
    decision, _ = decide(pool, seen, state, 0.0)
    return Answer(pool, decision, _SUPPOSED)


def _merged(numbers: given.Given, pool: Pool, options: Mapping[str, Any]) -> given.Given:
    """Let options win over the document's numbers; those of a queue are for the pool's first."""
    first = pool.queues[0].name
    loads = dict(numbers.loads)
    of_queue = {n: options[n] for n in given.Load._fields if options.get(n) is not None}
    loads[first] = loads.get(first, given.Load())._replace(**of_queue)
    of_pool = {n: options[n] for n in ("replicas", "busy", "long") if options[n] is not None}
    return numbers._replace(loads=tuple(loads.items()), **of_pool)


def _document(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}") from None
