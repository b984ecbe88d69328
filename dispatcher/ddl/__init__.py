"""What a logged statement touches, and whether the sink executes it."""

from hedgerow.dispatcher.ddl.classify import classify
from hedgerow.dispatcher.ddl.decide import Action, Decision, apply_filter
from hedgerow.dispatcher.ddl.model import Classified, Kind

__all__ = ["Action", "Classified", "Decision", "Kind", "apply_filter", "classify"]
