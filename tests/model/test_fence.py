"""No stale owner changes anything: the fence's state machine, as it is built.

`HEDGEROW_FENCE_EXAMPLES` sets the number of examples (2,000 by default). The long mode:

    HEDGEROW_FENCE_EXAMPLES=200000 pytest tests/model/test_fence.py
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import FenceMachine

EXAMPLES = int(os.environ.get("HEDGEROW_FENCE_EXAMPLES", "2000"))


@pytest.mark.timeout(0)
def test_no_stale_owner_changes_anything() -> None:
    profile = settings(
        max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(FenceMachine, settings=profile)
