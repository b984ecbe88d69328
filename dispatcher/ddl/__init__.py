"""What a logged statement touches, and whether the sink executes it."""

from hedgerow.dispatcher.ddl.classify import classify
from hedgerow.dispatcher.ddl.decide import Action, Decision, apply_filter
from hedgerow.dispatcher.ddl.model import Classified, DdlKind

__all__ = ["Action", "Classified", "DdlKind", "Decision", "apply_filter", "classify"]
