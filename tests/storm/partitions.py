"""ALTER TABLE … PARTITION. Every partitioned table has room for every value: RANGE ends with MAXVALUE."""

from __future__ import annotations

from tests.storm.clauses import alter
from tests.storm.definitions import partitioning
from tests.storm.tables import fits, is_plain, like
from tests.storm.turn import Draft, Turn
from tests.storm.world import Partitions, Table


def partition_by(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: _can_be_partitioned(turn, t))
    if table is None:
        return None
    method = turn.chance.choice(("RANGE", "HASH", "KEY"))
    partitions = Partitions(method, table.key[0], number=turn.chance.randint(1, 4))
    if method == "RANGE":
        partitions.names, partitions.bounds = ["p0", "pmax"], [turn.world.counter]

    def apply() -> None:
        table.partitions = partitions
        table.column(partitions.column).pins += 1

    return alter(turn, table, partitioning(turn, partitions), apply)


def remove_partitioning(turn: Turn) -> Draft | None:
    table, partitions = _partitioned(turn)
    if table is None or partitions is None:
        return None

    def apply() -> None:
        table.partitions = None
        table.column(partitions.column).pins -= 1

    return alter(turn, table, "REMOVE PARTITIONING", apply)


def split_partition(turn: Turn) -> Draft | None:
    """REORGANIZE the last of RANGE into two; ADD PARTITION to HASH and KEY."""
    table, partitions = _partitioned(turn)
    if table is None or partitions is None or max(len(partitions.names), partitions.number) > 6:
        return None
    if partitions.method != "RANGE":

        def more() -> None:
            partitions.number += 1

        return alter(turn, table, "ADD PARTITION PARTITIONS 1", more)
    name = f"p{turn.world.next()}"
    bound = max(turn.world.counter, *partitions.bounds) + 1
    last = partitions.names[-1]

    def apply() -> None:
        partitions.names.insert(-1, name)
        partitions.bounds.append(bound)

    parts = f"PARTITION {name} VALUES LESS THAN ({bound}), PARTITION {last} VALUES LESS THAN MAXVALUE"
    return alter(turn, table, f"REORGANIZE PARTITION {last} INTO ({parts})", apply)


def merge_partitions(turn: Turn) -> Draft | None:
    """REORGANIZE the first two of RANGE into one; COALESCE of HASH and KEY."""
    table, partitions = _partitioned(turn)
    if table is None or partitions is None or max(len(partitions.names), partitions.number) < 3:
        return None
    if partitions.method != "RANGE":

        def fewer() -> None:
            partitions.number -= 1

        return alter(turn, table, "COALESCE PARTITION 1", fewer)
    first, second = partitions.names[:2]
    name = f"p{turn.world.next()}"
    bound = partitions.bounds[1] if len(partitions.bounds) > 1 else 0
    if not bound:
        return None

    def apply() -> None:
        partitions.names[:2] = [name]
        del partitions.bounds[0]

    parts = f"PARTITION {name} VALUES LESS THAN ({bound})"
    return alter(turn, table, f"REORGANIZE PARTITION {first}, {second} INTO ({parts})", apply)


def drop_partition(turn: Turn) -> Draft | None:
    table, partitions = _partitioned(turn)
    if table is None or partitions is None or len(partitions.names) < 3:
        return None
    at = turn.chance.randrange(len(partitions.bounds))

    def apply() -> None:
        del partitions.names[at], partitions.bounds[at]

    return alter(turn, table, f"DROP PARTITION {partitions.names[at]}", apply)


def truncate_partition(turn: Turn) -> Draft | None:
    table, partitions = _partitioned(turn)
    if table is None or partitions is None:
        return None
    names = partitions.names or [f"p{n}" for n in range(partitions.number)]
    return alter(turn, table, f"TRUNCATE PARTITION {turn.chance.choice((*names, 'ALL'))}")


def rebuild_partition(turn: Turn) -> Draft | None:
    table, partitions = _partitioned(turn)
    if table is None or partitions is None:
        return None
    return alter(turn, table, "REBUILD PARTITION ALL")


def create_for_exchange(turn: Turn, table: Table) -> tuple[Draft, Table] | None:
    """A table of the same definition, to be exchanged with a partition. See patterns.py."""
    name = turn.new_name(table.name.schema)
    if name is None or not fits(table, name):
        return None
    other = like(turn, table, name)

    def apply() -> None:
        turn.world.tables[name] = other

    text = f"CREATE TABLE {turn.name(name)} LIKE {turn.name(table.name)}"
    return Draft(text, (name, *turn.world.tied(table.name)), apply), other


def strip(turn: Turn, table: Table) -> Draft | None:
    if table.partitions is None or not turn.may_rebuild(table):
        return None

    def apply() -> None:
        table.partitions = None

    return alter(turn, table, "REMOVE PARTITIONING", apply)


def same(table: Table, other: Table) -> bool:
    """Neither was altered since one was made from the other."""
    return not table.altered and not other.altered


def exchange(turn: Turn, table: Table, other: Table) -> Draft | None:
    partitions = table.partitions
    if partitions is None or other.partitions is not None or other.filled or not partitions.names:
        return None
    name = turn.chance.choice(partitions.names)
    text = f"ALTER TABLE {turn.name(table.name)} EXCHANGE PARTITION {name} WITH TABLE {turn.name(other.name)}"

    def apply() -> None:
        other.filled = True
        turn.world.focus = other.name

    return Draft(text, turn.world.tied(table.name, other.name), apply)


def _partitioned(turn: Turn) -> tuple[Table | None, Partitions | None]:
    table = turn.alterable(lambda t: t.partitions is not None)
    return (None, None) if table is None else (table, table.partitions)


def _can_be_partitioned(turn: Turn, table: Table) -> bool:
    if (
        len(table.key) != 1
        or not is_plain(table.name)
        or table.partitions
        or table.foreign_keys
        or turn.world.children(table.name)
    ):
        return False
    unique = any(index.unique or index.kind for index in table.indexes) or table.fulltext
    spatial = any(column.type.family in ("geometry", "point") for column in table.columns)
    return not unique and not spatial and table.column(table.key[0]).type.whole_number
