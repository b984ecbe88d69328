"""Legal statements without end, from a seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from tests.storm import alters, keys, objects, partitions, rows, sessions, tables
from tests.storm.patterns import PATTERNS
from tests.storm.sessions import CODECS
from tests.storm.turn import EVERYTHING, Action, Draft, Turn
from tests.storm.world import Session, World

SESSIONS: Final = 4
_STAYS: Final = 0.4  # how often the session of the last statement goes on
_TRANSACTION_GOES_ON: Final = 0.8  # without a DDL, which would commit it
_PATTERN_BEGINS: Final = 0.08
_PATTERN_GOES_ON: Final = 0.8

# Weights and groups. A group can be left out: `--without GROUP`.
ACTIONS: Final[tuple[tuple[str, int, tuple[Action, ...]], ...]] = (
    ("rows", 14, (rows.insert, rows.insert, rows.update, rows.delete, rows.update_key, rows.insert_duplicates)),
    ("rows", 4, (rows.insert_select, rows.upsert, rows.delete_all, rows.change_two)),
    ("transactions", 4, (sessions.begin, sessions.commit, sessions.commit, sessions.rollback)),
    ("transactions", 2, (sessions.savepoint, sessions.rollback_to)),
    ("xa", 2, (sessions.xa_start, sessions.xa_next, sessions.xa_next, sessions.xa_next)),
    ("create", 6, (tables.create, tables.create_keyless, tables.create_child, tables.create_partitioned)),
    ("create", 3, (tables.create_like, tables.create_existing, tables.create_or_replace)),
    ("create-select", 2, (tables.create_select,)),
    ("drop", 4, (tables.drop, tables.drop_several, tables.drop_absent)),
    ("rename", 4, (tables.rename, tables.rename_swap, tables.rename_cycle)),
    ("truncate", 2, (tables.truncate,)),
    ("columns", 6, (alters.add_column, alters.add_column_instantly, alters.add_columns, alters.drop_column)),
    ("columns", 5, (alters.modify_column, alters.change_column, alters.swap_columns, alters.column_default)),
    ("columns", 2, (alters.column_visibility, alters.add_generated)),
    ("auto-increment", 1, (alters.add_numbered,)),
    ("indexes", 4, (keys.add_index, keys.add_fulltext, keys.drop_index)),
    ("indexes", 2, (keys.rename_index, keys.index_visibility)),
    ("keys", 3, (keys.drop_primary_key, keys.add_primary_key)),
    ("constraints", 4, (keys.add_foreign_key, keys.drop_foreign_key, keys.add_check, keys.drop_check)),
    ("options", 3, (alters.options, alters.convert, alters.several, alters.alter_absent)),
    ("partitions", 3, (partitions.partition_by, partitions.remove_partitioning, partitions.split_partition)),
    ("partitions", 3, (partitions.merge_partitions, partitions.drop_partition, partitions.truncate_partition)),
    ("partitions", 1, (partitions.rebuild_partition,)),
    ("schemas", 1, (objects.create_database, objects.alter_database, objects.drop_database)),
    ("views", 2, (objects.create_view, objects.alter_view, objects.drop_view, rows.through_view)),
    ("triggers", 2, (objects.create_trigger, objects.drop_trigger)),
    ("routines", 1, (objects.create_routine, objects.alter_routine, objects.drop_routine)),
    ("sequences", 2, (objects.create_sequence, objects.next_value, objects.alter_sequence, objects.drop_sequence)),
    ("settings", 3, (sessions.use, sessions.sql_mode, sessions.foreign_key_checks, sessions.row_image)),
    ("variables", 2, (sessions.variable, sessions.global_variable)),
    ("charsets", 2, (sessions.character_set,)),
    ("rotation", 1, (sessions.rotate, sessions.maintain)),
)
GROUPS: Final = tuple(dict.fromkeys(group for group, _, _ in ACTIONS))
_DML: Final = frozenset(action for group, _, actions in ACTIONS if group == "rows" for action in actions)
_IN_TRANSACTION: Final = (
    *(rows.insert, rows.insert, rows.update, rows.delete, rows.update_key, rows.upsert, rows.change_two),
    *(sessions.savepoint, sessions.rollback_to, sessions.commit, sessions.commit, sessions.rollback),
)
_IN_XA: Final = frozenset((*_DML, sessions.xa_next))


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of one session. `touches`: it and an earlier step that share one of these are executed in order."""

    number: int
    session: int
    kind: str
    sql: str
    charset: str
    touches: tuple[str, ...]

    @property
    def data(self) -> bytes:
        return self.sql.encode(CODECS[self.charset])


class Generator:
    """An iterator of steps. The world is that after the last one."""

    def __init__(self, flavour: Flavour, seed: int, *, without: Collection[str] = ()) -> None:
        self.world = World(flavour, [Session(number) for number in range(SESSIONS)])
        self._chance = random.Random(f"{flavour} {seed}")
        self._choices = [(weight, actions) for group, weight, actions in ACTIONS if group not in without]
        self._without = {action for group, _, actions in ACTIONS if group in without for action in actions}
        self._number = 0
        self._session = self.world.sessions[0]
        self._pattern: tuple[Session, Iterator[Action]] | None = None

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        while True:
            step = self._try()
            if step is not None:
                return step

    def settle(self) -> Iterator[Step]:
        """Ends every transaction that is open: then all that was done can be seen."""
        for session in self.world.sessions:
            while session.in_transaction:
                action = sessions.xa_next if session.xa else sessions.commit
                draft = action(Turn(self.world, session, self._chance))
                assert draft is not None
                yield self._keep(session, action.__name__, draft)
        self._pattern = None

    # -- choosing -----------------------------------------------------------------------------------------------------

    def _try(self) -> Step | None:
        session, action = self._choose()
        if action in self._without or not _allowed(session, action):
            return None
        draft = action(Turn(self.world, session, self._chance))
        if draft is None or not _writable(draft.sql, session) or self._misread(draft, session):
            return None
        return self._keep(session, action.__name__, draft)

    def _misread(self, draft: Draft, session: Session) -> bool:
        """MariaDB's InnoDB (seen in 10.11) reads names in foreign keys as UTF-8 whatever the session speaks."""
        if self.world.flavour != "mariadb" or session.charset.startswith("utf8") or draft.keeps:
            return False
        tied = (table for name in draft.touches if (table := self.world.tables.get(name)))
        return "FOREIGN KEY" in draft.sql or any(t.foreign_keys or self.world.children(t.name) for t in tied)

    def _choose(self) -> tuple[Session, Action]:
        chance = self._chance
        if self._pattern is not None and chance.random() < _PATTERN_GOES_ON:
            session, actions = self._pattern
            action = next(actions, None)
            if action is not None:
                return session, action
            self._pattern = None
        session = self._session
        if chance.random() > _STAYS:
            session = chance.choice(self.world.sessions)
        if not self.world.schemas:
            return session, sessions.commit if session.in_transaction else objects.create_database
        if self._pattern is None and chance.random() < _PATTERN_BEGINS:
            self._pattern = session, chance.choice(PATTERNS)(Turn(self.world, session, chance))
        if session.in_transaction and not session.xa and chance.random() < _TRANSACTION_GOES_ON:
            return session, chance.choice(_IN_TRANSACTION)
        (_, among), *_ = chance.choices(self._choices, [weight for weight, _ in self._choices])
        return session, chance.choice(among)

    def _keep(self, session: Session, kind: str, draft: Draft) -> Step:
        touches = [f"{name.schema}.{name.table}" for name in self._touched(session, draft)]
        if draft.everything:
            touches = [EVERYTHING]
        step = Step(self._number, session.number, kind, draft.sql, session.charset, tuple(touches))
        if not draft.keeps:
            session.end_transaction()
        draft.apply()
        if draft.keeps and session.in_transaction:
            session.open += [name for name in draft.touches if name not in session.open]
        self._number += 1
        self._session = session
        return step

    def _touched(self, session: Session, draft: Draft) -> dict[TableName, None]:
        held = () if draft.keeps else tuple(session.open)
        return dict.fromkeys((*draft.touches, *held))


def _allowed(session: Session, action: Action) -> bool:
    """An XA transaction takes rows while it is active, and then only its own statements."""
    if action in _DML and session.charset == "binary":
        return False  # its literals are no text, which JSON and geometry refuse
    if not session.xa:
        return True
    return action is sessions.xa_next or (session.xa_state == "active" and action in _IN_XA)


def _writable(sql: str, session: Session) -> bool:
    try:
        sql.encode(CODECS[session.charset])
    except UnicodeEncodeError:
        return False
    return True
