"""The statement log of a run: one JSON document a line, from which the run is played again.

Lines: the head (what was run), `changefeed` (it is created here), `step`, `compare` (wait, then compare), and `note`
(faults and verdicts, for whoever reads it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.storm.generator import Step

Line = dict[str, Any]


class Story:
    """Appends, and is complete up to the last line whatever happens."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def tell(self, do: str, **what: Any) -> None:
        self._file.write(json.dumps({"do": do, **what}, ensure_ascii=False) + "\n")

    def steps(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Each is written down before it is played."""
        for step in steps:
            self.tell("step", **asdict(step))
            yield step

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def step_of(line: Line) -> Step:
    fields = {key: value for key, value in line.items() if key != "do"}
    return Step(**{**fields, "touches": tuple(fields["touches"])})
