"""Values that the coordinator's unit tests are made of."""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed, Revisions, first_ownership
from hedgerow.coordinator.reconcile import SeenNode, World

NOW = 1_700_000_000.0


def position(offset: int) -> pb.Position:
    return pb.Position(file="binlog.000001", offset=offset, source_id="s")


def changefeed(name: str = "shop", node: str = "a", state: pb.ChangefeedState = pb.NORMAL) -> Changefeed:
    """A changefeed at epoch 1 on `node`."""
    uid = f"uid-{name}"
    return Changefeed(
        pb.ChangefeedSpec(name=name, uid=uid, flavour="mysql"),
        first_ownership(uid, node, "created", NOW),
        pb.ChangefeedStatus(state=state),
        Revisions(1, 1, 1),
    )


def maintainer(
    changefeed: Changefeed,
    phase: mpb.MaintainerPhase = mpb.MAINTAINING,
    *,
    epoch: int | None = None,
    error: pb.ChangefeedError | None = None,
    checkpoint: pb.Position | None = None,
) -> mpb.MaintainerStatus:
    """The owner's report."""
    stamp = pb.Stamp(
        uid=changefeed.uid, epoch=changefeed.epoch if epoch is None else epoch, node=changefeed.ownership.node
    )
    return mpb.MaintainerStatus(stamp=stamp, phase=phase, error=error, checkpoint=checkpoint)


def node(
    name: str,
    maintainers: Iterable[mpb.MaintainerStatus] | None = (),
    *,
    liveness: pb.Liveness = pb.ALIVE,
    suspected: bool = False,
) -> SeenNode:
    report = None if maintainers is None else {status.stamp.uid: status for status in maintainers}
    return SeenNode(name, liveness, suspected, report)


def world(
    changefeeds: Iterable[Changefeed], nodes: Iterable[SeenNode], *, now: float = NOW, rebalance: bool = False
) -> World:
    """Checkpoints were saved just now, so that they are no part of what is tested."""
    by_name = {each.name: each for each in changefeeds}
    return World(
        by_name,
        {each.id: each for each in nodes},
        now,
        saved_at=dict.fromkeys(by_name, now),
        rebalance=rebalance,
    )
