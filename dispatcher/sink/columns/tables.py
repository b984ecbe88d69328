"""Reads what the sink's tables are like, for dispatcher.sink.columns.shapes. Blocking."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymysql.connections import Connection

from hedgerow.common.mysql.catalog import columns, nullable_uniques, show_hidden_keys, tables_with_hidden_columns
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.columns.shapes import SinkTable


def read_shapes(
    connection: Connection[Any], flavour: Flavour, dispatchers: Collection[str]
) -> dict[str, SinkTable | None]:
    """By dispatcher; None where the sink has no such table, or where the key's dot could be in either name."""
    names = {key: TableName(*key.split(".")) for key in dispatchers if key.count(".") == 1}
    if not names:
        return dict.fromkeys(dispatchers)
    show_hidden_keys(connection, flavour)
    hiding = tables_with_hidden_columns(connection, flavour, {name.schema for name in names.values()})
    found = columns(connection, names.values())
    keyless = [name for name, listed in found.items() if not any(column.in_key for column in listed)]
    uniques = nullable_uniques(connection, keyless) if flavour == "mariadb" else {}
    tables = {
        key: SinkTable(found[name], name in hiding, tuple(uniques.get(name, ())))
        for key, name in names.items()
        if name in found
    }
    return {key: tables.get(key) for key in dispatchers}
