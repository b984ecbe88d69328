"""How tables, columns and constraints are written in CREATE and ALTER TABLE."""

from __future__ import annotations

from tests.storm.columns import PLAIN_INT
from tests.storm.turn import Turn
from tests.storm.world import Column, ForeignKey, Partitions, Table


def head(turn: Turn, table: Table, words: str = "CREATE TABLE") -> str:
    text = f"{words} {turn.name(table.name)} ({define_table(turn, table)})"
    if turn.likely(0.3):
        text += turn.chance.choice((" ENGINE=InnoDB", " ENGINE = innodb ROW_FORMAT=DYNAMIC", " STATS_PERSISTENT=0"))
    if turn.likely(0.2):
        text += turn.chance.choice(
            (" DEFAULT CHARSET=latin1", " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", " COLLATE = utf8mb4_unicode_ci")
        )
    if turn.likely(0.2):
        text += f" COMMENT={turn.text(turn.comment())}"
    if table.partitions is not None:
        text += " " + partitioning(turn, table.partitions)
    return text


def define_table(turn: Turn, table: Table) -> str:
    """What stands in the parentheses of CREATE TABLE."""
    parts = [_defined(turn, column) for column in table.columns]
    if table.key:
        parts.append(f"PRIMARY KEY ({turn.listed(table.key)})")
    for index in table.indexes:
        word = "UNIQUE KEY" if index.unique else "KEY"
        columns = ", ".join(turn.q(c) + table.column(c).type.index for c in index.columns)
        parts.append(f"{word} {turn.q(index.name)} ({columns})")
    parts += [foreign_key(turn, key) for key in table.foreign_keys]
    parts += [f"CONSTRAINT {turn.q(name)} {check(turn, column)}" for name, column in table.checks.items()]
    return turn.comma(parts)


def _defined(turn: Turn, column: Column) -> str:
    if not column.generated:
        return turn.define(column)
    return f"{turn.q(column.name)} {column.type.sql} {column.default}"


def generated(turn: Turn, table: Table, base: Column) -> Column:
    """`default` holds the expression."""
    base.pins += 1
    kind = turn.chance.choice(("VIRTUAL", "STORED"))
    name = turn.new_column_name(table.column_names)
    return Column(
        name, PLAIN_INT, generated=True, default=f"GENERATED ALWAYS AS ({turn.q(base.name)} % 7) {kind}", pins=1
    )


def foreign_key(turn: Turn, key: ForeignKey) -> str:
    parent = f"{turn.q(key.parent.schema)}.{turn.q(key.parent.table)}"
    wording = (
        f"CONSTRAINT {turn.q(key.name)} FOREIGN KEY ({turn.q(key.column)}) REFERENCES {parent} ({turn.q(key.refers)})"
    )
    if key.cascades:
        wording += (
            " ON DELETE " + turn.chance.choice(("CASCADE", "SET NULL")) + turn.chance.choice(("", " ON UPDATE CASCADE"))
        )
    return wording


def check(turn: Turn, column: str) -> str:
    return f"CHECK ({turn.q(column)} IS NULL OR {turn.q(column)} > -3000000000)"


def partitioning(turn: Turn, partitions: Partitions) -> str:
    column = turn.q(partitions.column)
    if partitions.method != "RANGE":
        return f"PARTITION BY {partitions.method} ({column}) PARTITIONS {partitions.number}"
    limits = [str(bound) for bound in partitions.bounds]
    parts = [f"PARTITION {n} VALUES LESS THAN ({b})" for n, b in zip(partitions.names, limits, strict=False)]
    parts.append(f"PARTITION {partitions.names[-1]} VALUES LESS THAN MAXVALUE")
    return f"PARTITION BY RANGE ({column}) ({', '.join(parts)})"
