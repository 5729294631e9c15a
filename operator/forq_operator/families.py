"""The form in which metrics are made: plain families of samples. Pure; knows no Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forq_operator.tally import Buckets

#: The values of a sample's labels.
Labels = tuple[str, ...]


class Family(NamedTuple):
    """One metric: `kind` is gauge, counter or histogram; `samples` are by the labels' values."""

    kind: str
    name: str
    help: str
    labels: tuple[str, ...]
    samples: Mapping[Labels, float | Buckets]


class Table(NamedTuple):
    """Makes families of things that have the same labels: `keys` are the values of these."""

    labels: tuple[str, ...]
    keys: tuple[Labels, ...]

    def gauge(self, name: str, text: str, values: Iterable[float]) -> Family:
        """Make a gauge of a value for each."""
        return Family("gauge", name, text, self.labels, self._by_key(values))

    def counter(self, name: str, text: str, values: Iterable[float]) -> Family:
        """Make a counter of a value for each."""
        return Family("counter", name, text, self.labels, self._by_key(values))

    def histogram(self, name: str, text: str, values: Iterable[Buckets]) -> Family:
        """Make a histogram of buckets for each."""
        return Family("histogram", name, text, self.labels, self._by_key(values))

    def by(
        self, label: str, family: tuple[str, str, str], values: Iterable[Mapping[str, float]]
    ) -> Family:
        """Make a family (kind, name, help) of values by one more label for each."""
        samples = {
            (*key, word): number
            for key, numbers in zip(self.keys, values, strict=True)
            for word, number in numbers.items()
        }
        return Family(*family, (*self.labels, label), samples)

    def _by_key(self, values: Iterable[float | Buckets]) -> dict[Labels, float | Buckets]:
        return dict(zip(self.keys, values, strict=True))
