"""What a logged statement touches, and whether the sink executes it."""

from dispatcher.ddl.classify import classify
from dispatcher.ddl.decide import Action, Decision, apply_filter
from dispatcher.ddl.model import Classified, Kind

__all__ = ["Action", "Classified", "Decision", "Kind", "apply_filter", "classify"]
