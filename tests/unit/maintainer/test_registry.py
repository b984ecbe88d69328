"""Which reports of ended workers are kept: those that a coordinator may not have seen yet."""

from __future__ import annotations

from hedgerow.common.epoch import Stamp
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.maintainer.registry import REPORTS_KEPT, Registry


class Ended:
    """A worker that has come to its end."""

    def __init__(self, uid: str, epoch: int, phase: mpb.MaintainerPhase = mpb.CLOSED) -> None:
        self._status = mpb.MaintainerStatus(stamp=Stamp(uid, epoch, "n1").write(), phase=phase)

    def cancel(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> mpb.MaintainerStatus:
        return self._status


def end(registry: Registry, uid: str, epoch: int = 1) -> None:
    record = registry.record(uid)
    record.worker, record.last = Ended(uid, epoch), None
    registry.settle()


def uids(registry: Registry) -> set[str]:
    return {status.stamp.uid for status in registry.statuses()}


async def test_the_report_that_ended_last_is_kept_however_old_its_record_is() -> None:
    registry = Registry()
    registry.record("oldest")
    for number in range(REPORTS_KEPT):
        end(registry, f"uid{number}")
    end(registry, "oldest")
    assert uids(registry) == {"oldest", *(f"uid{number}" for number in range(1, REPORTS_KEPT))}
    end(registry, "uid1", epoch=2)
    end(registry, "another")
    assert "uid1" in uids(registry), "it ended again"
    assert "uid2" not in uids(registry)
    assert registry.record("uid2").closed == 1, "its tombstone stays"
