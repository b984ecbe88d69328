"""The name of a table: what filters match, catalogs list, DDL touches, and dispatchers are keyed by."""

from __future__ import annotations

from typing import NamedTuple

from hedgerow.common.pb.v1 import model_pb2 as pb


class TableName(NamedTuple):
    """A table as its server names it. An empty `table` stands for every table of the schema."""

    schema: str
    table: str

    @property
    def key(self) -> str:
        """The key of the table's dispatcher."""
        return f"{self.schema}.{self.table}"

    @property
    def quoted(self) -> str:
        """Quoted for a statement."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @classmethod
    def read(cls, message: pb.TableName) -> TableName:
        return cls(message.schema, message.table)

    def write(self) -> pb.TableName:
        return pb.TableName(schema=self.schema, table=self.table)


def quoted(identifier: str) -> str:
    """An identifier quoted for a statement."""
    return "`" + identifier.replace("`", "``") + "`"
