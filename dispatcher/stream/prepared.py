"""XA transactions of the source that are prepared: which dispatchers have rows of one, and who hears of its decision.

Part of the router, which says when; the rows are stored by the lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hedgerow.dispatcher.stream.intake import LaneIntake, Target


class PreparedTransactions:
    """`prepared`: of the XA transactions that have rows in the sink, by xid, the dispatchers concerned. `targets`:
    the router's own, by key; what is dropped there has to be dropped here."""

    def __init__(self, prepared: Mapping[str, Collection[str]], targets: Mapping[str, Target]) -> None:
        self._targets = targets
        self._keys = {xid: set(keys) & targets.keys() for xid, keys in prepared.items()}

    def drop(self, key: str) -> None:
        for keys in self._keys.values():
            keys.discard(key)

    def add(self, xid: str, number: int) -> None:
        """The transaction of this number, which is at hand, is prepared."""
        here = {key for key, target in self._targets.items() if target.number == number}
        if here:
            self._keys.setdefault(xid, set()).update(here)

    def settle(self, xid: str, number: int, begins: tuple[str, int], *, commit: bool) -> list[LaneIntake]:
        """The transaction of this number, which begins there, decides over `xid`. The intakes that it has opened."""
        intakes: dict[LaneIntake, list[str]] = {}
        later: set[str] = set()
        for key in sorted(self._keys.pop(xid, ())):
            target = self._targets[key]
            if target.covered:
                later.add(key)  # it has decided already: what is stored is of a later transaction with the same xid
                continue
            if target.number != number:
                target.number = number
                target.transactions += 1
            intakes.setdefault(target.intake, []).append(key)
        if later:
            self._keys[xid] = later
        opened = []
        for intake, keys in intakes.items():
            intake.decide(xid, keys, commit=commit)
            if not intake.open:
                intake.open = True
                opened.append(intake)
                if not intake.oldest:
                    intake.begins = begins
        return opened
