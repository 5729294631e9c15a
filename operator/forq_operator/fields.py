"""Typed access to a mapping out of YAML or JSON: each mistake names its field and the remedy.

Knows nothing about pools; the schema of the CRD checks the same bounds before, where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SpecError(ValueError):
    """A WorkerPool that cannot work; the message names the field and says what to do."""


class Fields:
    """A mapping and the path that leads to it."""

    def __init__(self, value: object, path: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise SpecError(f"{path} must be a mapping of fields, and is {_kind(value)}")
        self.value: dict[str, Any] = value
        self.path = path

    def __contains__(self, name: str) -> bool:
        return self.value.get(name) is not None

    def at(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def only(self, *names: str) -> None:
        """Refuse fields that nobody would read."""
        unknown = sorted(str(name) for name in self.value.keys() - set(names))
        if unknown:
            raise SpecError(
                f"{self.at(unknown[0])} is no field of a WorkerPool; "
                f"here there are {', '.join(sorted(names))}"
            )

    def child(self, name: str) -> Fields:
        """Return the mapping in a field; an empty one when it is not given."""
        return Fields(self.value.get(name), self.at(name))

    def children(self, name: str) -> Iterator[Fields]:
        """Yield the mappings in a list."""
        for index, item in enumerate(self._list(name)):
            yield Fields(item, f"{self.at(name)}[{index}]")

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise SpecError(f"{self.at(name)} must be a text, and is {_kind(value)}: quote it")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self._list(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise SpecError(f"{self.at(name)}[{index}] must be a text, and is {_kind(value)}")
        return tuple(values)

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Return one of `allowed`, the first by default."""
        value = self.text(name, allowed[0])
        if value not in allowed:
            raise SpecError(f"{self.at(name)} is {value!r}; it must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value, false by default."""
        value = self.value.get(name, False)
        if not isinstance(value, bool):
            raise SpecError(f"{self.at(name)} must be true or false, and is {_kind(value)}")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number within bounds."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise SpecError(f"{self.at(name)} must be a whole number, and is {_kind(value)}")
        return int(self._bounded(name, value, low, high))

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number within bounds."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise SpecError(f"{self.at(name)} must be a number, and is {_kind(value)}")
        return float(self._bounded(name, value, low, high))

    def _bounded(self, name: str, value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise SpecError(f"{self.at(name)} is {value:g}, and must be {low:g} to {high:g}")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise SpecError(f"{self.at(name)} must be a list, and is {_kind(value)}")
        return value


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "a truth value"}
    found = names.get(type(value))
    return found or ("nothing" if value is None else f"the number {value}")
