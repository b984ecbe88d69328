"""What the fence has kept out, as the nodes' own metrics tell it."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from hedgerow.sandbox.process import SandboxError

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Refusals:
    """`at_sink`: transactions, claims included, that the sink's fence or a progress row refused; of these the writers
    learned. `ended`: sessions of former writers that this node killed in the sink, each with an open transaction.
    `by_nodes`: requests that this node refused its callers."""

    at_sink: int = 0
    ended: int = 0
    by_nodes: int = 0

    def __add__(self, other: Refusals) -> Refusals:
        return Refusals(self.at_sink + other.at_sink, self.ended + other.ended, self.by_nodes + other.by_nodes)

    def __sub__(self, other: Refusals) -> Refusals:
        return Refusals(self.at_sink - other.at_sink, self.ended - other.ended, self.by_nodes - other.by_nodes)


def refusals(metrics_address: str) -> Refusals:
    """Since the process started. Raises SandboxError."""
    try:
        with urllib.request.urlopen(f"http://{metrics_address}/metrics", timeout=_SECONDS) as answer:
            text = answer.read().decode()
    except OSError as error:
        raise SandboxError(f"no metrics at {metrics_address}: {error}") from error
    at_sink = ended = by_nodes = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "hedgerow_dispatcher_rejections_total":
                at_sink += sample.value if sample.labels["layer"] == "sink" else 0.0
                by_nodes += sample.value if sample.labels["layer"] == "rpc" else 0.0
            elif sample.name == "hedgerow_sink_sessions_ended_total":
                ended += sample.value
    return Refusals(int(at_sink), int(ended), int(by_nodes))
