"""Guards that can be taken out of the model, one at a time, to show that it notices their absence."""

from __future__ import annotations

import enum


class Defect(enum.Enum):
    """The value tells what is missing."""

    EPOCH_WITHOUT_NODE = "a node compares epochs, and not who owns them"
    NO_TOMBSTONE = "a node forgets what it has closed"
    NO_FENCE = "a takeover does not raise the sink's fence row"
    PROGRESS_APART = "the position commits after the rows, in a transaction of its own"
    BLIND_PAUSE = "pause puts what follows from an old reading, without comparing revisions"
    SESSION_NOT_CHECKED = "a sink transaction does not check which session has claimed its progress row"
    TERM_NOT_COMPARED = "a deposed coordinator's writes are not compared with the election key"
    CLOSED_BEFORE_FENCE = "a stop is confirmed before the sink's fence is raised"
