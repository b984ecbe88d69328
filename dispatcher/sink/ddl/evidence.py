"""Whether a DDL statement that was begun was executed: judged by what only its execution can have done. Pure.

The sink's binlog decides where it can be read. Without it the shapes of tables before and after do, and InnoDB's ids
for tables that look alike. That something is different is no evidence: somebody may have altered, rebuilt or restored a
table. docs/fencing.md has the rules in one table.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.ddl.lexer import Token, UnreadableStatement, tokens
from hedgerow.dispatcher.ddl.scan import Scan, Unclear
from hedgerow.dispatcher.sink.ddl.fingerprint import Fingerprint
from hedgerow.dispatcher.sink.ddl.logged import Logged

T = TypeVar("T")
_NAME = re.compile(r"\A(CREATE [^`]*)(?:`(?:[^`]|``)*`\.)?`(?:[^`]|``)*`")  # of SHOW CREATE TABLE
_PROGRAMS = frozenset({"TRIGGER", "PROCEDURE", "FUNCTION", "PACKAGE"})
_THINGS = frozenset({"TABLE", "TABLES", "VIEW", "SEQUENCE", "INDEX", "DATABASE", "SCHEMA", "EVENT", *_PROGRAMS})


class Evidence(enum.Enum):
    EXECUTED = "executed"
    REPEAT = "not executed, or to be executed again without harm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StartedStatement:
    """What of a statement matters here. `drops`: all that it does is to drop these. `renames` in their order.
    `exchanges` partitions. `swaps_columns`: it may leave columns that look as before, with one another's values.
    `repeats`: it has the same effect again, whatever is there. `words`: of its text, in lower case."""

    text: str
    creates: frozenset[TableName] = frozenset()
    drops: frozenset[TableName] = frozenset()
    renames: tuple[tuple[str, str], ...] = ()
    exchanges: bool = False
    swaps_columns: bool = False
    repeats: bool = False
    is_program: bool = False
    words: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def read(
        cls,
        text: str,
        default_schema: str,
        flavour: Flavour,
        affected: Collection[TableName],
        creates: Collection[TableName],
        drops: Collection[TableName],
        *,
        sql_mode: int = 0,
    ) -> StartedStatement:
        made, gone = frozenset(creates), frozenset(drops)
        try:
            found = list(tokens(text, flavour, sql_mode))
        except UnreadableStatement:
            return cls(text, made, exchanges=True, swaps_columns=True)
        words = [token.value if token.kind == "word" else "" for token in found]
        verb, thing = words[0] if words else "", next((word for word in words if word in _THINGS), "")
        renames = _renames(found, words, default_schema)
        if not renames and len(made) == len(gone) == 1:
            renames = ((*gone,)[0].key, (*made,)[0].key), *()
        if verb == "DROP" and thing == "VIEW":
            gone = frozenset(affected)
        return cls(
            text,
            creates=made,
            drops=gone if verb == "DROP" else frozenset(),
            renames=renames,
            exchanges=_has(words, "EXCHANGE", "PARTITION"),
            swaps_columns=_swaps_columns(found, words),
            repeats=words[1:3] == ["OR", "REPLACE"] or (verb == "ALTER" and thing in (*_PROGRAMS, "VIEW")),
            is_program=thing in _PROGRAMS,
            words=frozenset(token.value.lower() for token in found),
        )

    @property
    def needs_ids(self) -> bool:
        """Only ids tell what became of its tables, where they look alike."""
        return bool(self.renames) or self.exchanges


def judge_at_once(statement: StartedStatement, before: Fingerprint, now: Fingerprint) -> Evidence | None:
    """What the sink's binlog need not be asked for; None where it has to be."""
    if statement.drops:
        return Evidence.REPEAT if any(not now.absent(name) for name in statement.drops) else Evidence.EXECUTED
    if _is_as_before(statement, before, now):  # also where it was executed, and the tables were restored since
        return Evidence.REPEAT
    return None


def judge(
    statement: StartedStatement,
    before: Fingerprint,
    now: Fingerprint,
    logged: Logged,
    bodies: Mapping[str, str] | None = None,
) -> Evidence:
    """`bodies` of programs, by their key in `now.programs`."""
    if (at_once := judge_at_once(statement, before, now)) is not None:
        return at_once
    changed_places = _changed_places(statement, before, now)
    if logged is Logged.YES:
        return Evidence.EXECUTED
    if logged is Logged.NO:
        looks_executed = changed_places or (changed_places is None and _looks_renamed(statement, before, now))
        return Evidence.UNKNOWN if looks_executed else Evidence.REPEAT
    if logged is Logged.FAILED:
        return Evidence.UNKNOWN
    if statement.repeats:
        return Evidence.REPEAT
    if statement.is_program:
        return _judge_program(statement, before, now, bodies or {})
    if changed_places is not None:
        return Evidence.EXECUTED if changed_places else Evidence.REPEAT
    return Evidence.EXECUTED if _looks_renamed(statement, before, now) else Evidence.UNKNOWN


def _is_as_before(statement: StartedStatement, before: Fingerprint, now: Fingerprint) -> bool:
    """And would not be if it was executed, or is not changed by executing it again."""
    if statement.is_program or before.shapes != now.shapes or statement.exchanges or statement.swaps_columns:
        return False
    if statement.renames:
        former = _nameless(before.shapes)
        return _renamed(statement.renames, former, None) not in (former, None)
    return bool(now.shapes)


def _looks_renamed(statement: StartedStatement, before: Fingerprint, now: Fingerprint) -> bool:
    """Every table is where the statement moves it, and it can be seen that it is."""
    former, present = _nameless(before.shapes), _nameless(now.shapes)
    return bool(statement.renames) and _renamed(statement.renames, former, None) == present != former


def changed(before: Fingerprint, now: Fingerprint) -> list[str]:
    """What is not as it was, for a message."""
    names = [name.rstrip(".") for name, shape in before.shapes.items() if shape != now.shapes.get(name)]
    programs, former = now.programs or {}, before.programs or {}
    return names + sorted(key for key in {*programs, *former} if programs.get(key) != former.get(key))


def _changed_places(statement: StartedStatement, before: Fingerprint, now: Fingerprint) -> bool | None:
    """By ids, on the server that they are of: whether tables or partitions have changed places as it says."""
    if not statement.needs_ids or before.ids is None or now.ids is None or before.server != now.server:
        return None
    former, present = _numbers(before.ids), _numbers(now.ids)
    if not any(former.values()):
        return None
    if former == present:
        return False
    if statement.renames:
        return True if _renamed(statement.renames, former, ()) == present else None
    return True if sorted(chain(*former.values())) == sorted(chain(*present.values())) else None


def _numbers(ids: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(each.rpartition(":")[2] for each in found)) for name, found in ids.items()}


def _renamed(renames: Sequence[tuple[str, str]], things: Mapping[str, T], nothing: T) -> dict[str, T] | None:
    """None where a name is not among the things: it is not understood."""
    result = dict(things)
    for old, new in renames:
        if old not in result or new not in result:
            return None
        result[new], result[old] = result[old], nothing
    return result


def _nameless(shapes: Mapping[str, str | None]) -> dict[str, str | None]:
    return {key: shape and _NAME.sub(r"\1", shape) for key, shape in shapes.items()}


def _judge_program(
    statement: StartedStatement, before: Fingerprint, now: Fingerprint, bodies: Mapping[str, str]
) -> Evidence:
    """A trigger or routine whose name is in the statement is gone, or is there with a body that the statement has."""
    former, present = before.programs, now.programs
    if former is None or present is None:
        return Evidence.UNKNOWN
    keys = [key for key in sorted({*former, *present}) if former.get(key) != present.get(key)]
    mine = [key for key in keys if key.rpartition(".")[2].lower() in statement.words]
    if not mine:
        return Evidence.REPEAT
    if len(mine) > 1:
        return Evidence.UNKNOWN
    (key,) = mine
    if key not in present:
        return Evidence.EXECUTED
    body = bodies.get(key, "")
    return Evidence.EXECUTED if key not in former and body and body in statement.text else Evidence.UNKNOWN


def _has(words: Sequence[str], *phrase: str) -> bool:
    return any(tuple(words[at : at + len(phrase)]) == phrase for at in range(len(words)))


def _renames(found: Sequence[Token], words: Sequence[str], default_schema: str) -> tuple[tuple[str, str], ...]:
    """Of RENAME TABLE."""
    if words[:1] != ["RENAME"]:
        return ()
    scan = Scan(found, default_schema, lower_names=False)
    pairs: list[tuple[str, str]] = []
    try:
        scan.skip()
        if not scan.takes_any("TABLE", "TABLES"):
            return ()
        scan.takes("IF", "EXISTS")
        while True:
            old = scan.name()
            scan.skip_wait()
            scan.expect("TO")
            pairs.append((old.key, scan.name().key))
            if not scan.takes(","):
                return tuple(pairs)
    except Unclear:
        return (("", ""),)  # a rename, of names that are none


def _swaps_columns(found: Sequence[Token], words: Sequence[str]) -> bool:
    """Whether a column gets a name that another gives up in the same statement."""
    olds, news = set[str](), set[str]()
    for at, word in enumerate(words):
        start = at + 1 + (words[at + 1 : at + 2] == ["COLUMN"])
        pair = [token.value.lower() for token in found[start : start + 3]]
        if word == "CHANGE" and len(pair) > 1:
            old, new = pair[0], pair[1]
        elif word == "RENAME" and start == at + 2 and len(pair) == 3:
            old, new = pair[0], pair[2]
        else:
            continue
        if old != new:
            olds.add(old)
            news.add(new)
    return not olds.isdisjoint(news)
