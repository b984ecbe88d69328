"""Which DDL it is."""

from __future__ import annotations

from hedgerow.common.ddlscope import ddl_id, exactly_touched, touched
from hedgerow.common.pb.v1 import model_pb2 as pb


def _ddl(gtid: str, file: str, offset: int, source_id: str) -> pb.Ddl:
    return pb.Ddl(gtid=gtid, position=pb.Position(file=file, offset=offset, source_id=source_id))


def test_a_gtid_tells_one_ddl_from_another_on_every_server() -> None:
    assert ddl_id(_ddl("0-1-7", "a.000001", 10, "1")) == ddl_id(_ddl("0-1-7", "b.000009", 99, "2"))
    assert ddl_id(_ddl("0-1-7", "a.000001", 10, "1")) != ddl_id(_ddl("0-1-8", "a.000001", 10, "1"))


def test_without_a_gtid_server_file_and_offset_do() -> None:
    one = _ddl("", "a.000001", 10, "1")
    assert ddl_id(one) == ddl_id(_ddl("", "a.000001", 10, "1"))
    for other in (_ddl("", "a.000001", 10, "2"), _ddl("", "a.000002", 10, "1"), _ddl("", "a.000001", 11, "1")):
        assert ddl_id(one) != ddl_id(other)


def test_tables_by_name_are_all_that_can_be_touched_unless_the_scope_is_wider() -> None:
    names = [pb.TableName(schema="s", table="a"), pb.TableName(schema="s", table="b")]
    ddl = pb.Ddl(scope=pb.TABLES, touches=names)
    assert exactly_touched(ddl) == frozenset(("s.a", "s.b"))
    assert touched(ddl, {"s.a", "s.c", "*"}) == {"s.a"}
    for wide in (
        pb.Ddl(scope=pb.EVERYTHING, touches=names),
        pb.Ddl(scope=pb.SCHEMA, touches=[pb.TableName(schema="s")]),
        pb.Ddl(scope=pb.TABLES, touches=[pb.TableName(schema="s")]),
    ):
        assert exactly_touched(wide) is None
