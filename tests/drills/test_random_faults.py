"""Random faults under load. The long mode: HEDGEROW_DRILL_SECONDS=600; a run again: HEDGEROW_DRILL_SEED=<the seed>."""

from __future__ import annotations

import os
import random

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.storm import Storm
from tests.drills.conftest import Judge, StartDrill

SECONDS = 60.0
_given = os.environ.get("HEDGEROW_DRILL_SECONDS")


@pytest.mark.timeout(240 + float(_given or 0))
def test_random_faults(flavour: Flavour, start_drill: StartDrill, judge: Judge) -> None:
    seed = int(os.environ.get("HEDGEROW_DRILL_SEED") or random.randrange(1 << 32))
    seconds = float(_given or SECONDS)
    print(f"\nrandom faults for {seconds:g} s, HEDGEROW_DRILL_SEED={seed}")
    with start_drill("random_faults", seed=seed) as drill:
        storm = Storm(drill.cluster, drill.name, seed)
        storm.rage(seconds)
        drill.did(f"seed {seed}, {seconds:g} s: {storm}")
        judge(drill.finish(90.0))
