"""Reads a registry as Prometheus does: the text that it is served, parsed by Prometheus' own rules."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self._families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Of the sample with exactly these labels; KeyError where there is none."""
        return self._samples[name, frozenset(labels.items())]

    def values(self, name: str, **labels: str) -> list[float]:
        """Of all samples of that name that have these labels among theirs."""
        wanted = labels.items()
        return [
            value for (each, found), value in self._samples.items() if each == name and wanted <= dict(found).items()
        ]

    def total(self, name: str, **labels: str) -> float:
        """Their sum."""
        return sum(self.values(name, **labels))

    def labels_of(self) -> dict[str, set[str]]:
        """The labels of each metric, by its name as docs/metrics.md has it; histograms without `le`."""
        found: dict[str, set[str]] = {}
        for family in self._families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels}
            found.setdefault(name, set()).update(labels - {"le"})
        return found


def scrape(registry: CollectorRegistry) -> Scrape:
    return Scrape(generate_latest(registry).decode())
