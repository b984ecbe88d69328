"""What the fence has kept out, as the nodes' own metrics tell it."""

from __future__ import annotations

import urllib.request
from collections import Counter
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from hedgerow.sandbox.process import SandboxError

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Refusals:
    """`at_sink`: transactions and claims that the sink's fence or a progress row refused, as their writers learned.
    `ended`: sessions of former writers that this node killed in the sink, each with an open transaction. `by_nodes`:
    requests and responses between nodes. `by_etcd`: writes of a deposed coordinator."""

    at_sink: int = 0
    ended: int = 0
    by_nodes: int = 0
    by_etcd: int = 0

    def __add__(self, other: Refusals) -> Refusals:
        return Refusals(
            self.at_sink + other.at_sink,
            self.ended + other.ended,
            self.by_nodes + other.by_nodes,
            self.by_etcd + other.by_etcd,
        )

    def __sub__(self, other: Refusals) -> Refusals:
        return self + Refusals(-other.at_sink, -other.ended, -other.by_nodes, -other.by_etcd)


def refusals(metrics_address: str) -> Refusals:
    """Since the process started. Raises SandboxError."""
    try:
        with urllib.request.urlopen(f"http://{metrics_address}/metrics", timeout=_SECONDS) as answer:
            text = answer.read().decode()
    except OSError as error:
        raise SandboxError(f"no metrics at {metrics_address}: {error}") from error
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "hedgerow_rejections_total":
                layer, verdict = sample.labels["layer"], sample.labels["verdict"]
                found[layer if layer != "etcd" else f"etcd {verdict}"] += int(sample.value)
            elif sample.name == "hedgerow_sink_sessions_ended_total":
                found["ended"] += int(sample.value)
    return Refusals(found["sink"], found["ended"], found["rpc"], found["etcd term"])
