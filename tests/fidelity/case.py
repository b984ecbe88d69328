"""What a case of the context matrix is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hedgerow.common.mysql.connect import Flavour


@dataclass(frozen=True)
class Case:
    """`before`: is in the sink when the rest is executed. `session` is set on the source, `sink` globally in the sink;
    then `ddl`, where `@` is the case's schema. `covers`: what of an event it is about. `fails`: errors that the source
    answers with, by statement. `after`: rows, once the DDL is executed."""

    name: str
    ddl: tuple[str | bytes, ...]
    covers: tuple[str, ...] = ()
    session: str = ""
    sink: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str | bytes, ...] = ()
    after: tuple[str | bytes, ...] = ()
    flavour: Flavour | None = None
    since: tuple[int, ...] = ()
    fails: Mapping[str, int] = field(default_factory=dict)
    versioned: bool = False
    sure: bool = True  # the schema is made before, and is in the sink
