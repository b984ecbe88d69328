"""GTID sets against a naive model: a Python set of single transactions."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.gtid import MariadbGtidSet, MysqlGtidSet, gtid_set
from hedgerow.common.errors import BadInput

SOURCES = [
    uuid.UUID(int=1).bytes,
    uuid.UUID(int=2).bytes,
    uuid.UUID(int=2).bytes + b"tag_a",
    uuid.UUID(int=2).bytes + b"b",
]
Model = set[tuple[bytes, int]]
models = st.sets(st.tuples(st.sampled_from(SOURCES), st.integers(1, 30)))
mariadb_models = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 20), st.integers(1, 3)))
A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4e11fa47-71ca-11e1-9e33-c80aa9429562"


def build(model: Model, order: list[tuple[bytes, int]] | None = None) -> MysqlGtidSet:
    result = MysqlGtidSet()
    for source, number in order or sorted(model):
        result.add(source, number)
    return result


@given(models, models, st.randoms(use_true_random=False))
def test_mysql_operations_agree_with_sets(first: Model, second: Model, random: object) -> None:
    order = list(first)
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = build(first, order), build(second)
    assert one == build(first)
    assert one.union(other) == build(first | second)
    assert one.minus(other) == build(first - second)
    assert one.intersection(other) == build(first & second)
    assert one.is_subset(other) == (first <= second)
    assert bool(one) == bool(first)
    assert {pair for pair in first | second if one.has(*pair)} == first


@given(models)
def test_mysql_text_and_encoding_come_back(model: Model) -> None:
    value = build(model)
    assert MysqlGtidSet.parse(str(value)) == value
    assert MysqlGtidSet.decode(value.encode()) == value


@given(models, st.sampled_from(SOURCES), st.integers(1, 32))
def test_mysql_copy_is_independent(model: Model, source: bytes, number: int) -> None:
    value = build(model)
    copy = value.copy()
    copy.add(source, number)
    assert value == build(model)
    assert copy == build(model | {(source, number)})


def test_mysql_notation_is_the_servers() -> None:
    text = f" {B.upper()}:5-7:1:Tag_B:2:1,\n{A}:3:1-2"
    assert str(MysqlGtidSet.parse(text)) == f"{A}:1-3,{B}:1:5-7:tag_b:1-2"
    assert str(MysqlGtidSet.parse(" ")) == ""


def test_mysql_contains() -> None:
    value = MysqlGtidSet.parse(f"{A}:1-5:tag:7")
    assert value.contains(f"{A}:5")
    assert value.contains(f"{A}:tag:7")
    assert not value.contains(f"{A}:6")
    assert not value.contains(f"{A}:tag:1")
    assert not value.contains(f"{B}:1")


@pytest.mark.parametrize(
    "text", ["x", A, f"{A}:", f"{A}:0", f"{A}:5-4", f"{A}:1:tag", f"{A}:1:9tag:2", f"{A}:tag-x:2", f"{A}:-1", "0-1-2"]
)
def test_mysql_refuses(text: str) -> None:
    with pytest.raises(BadInput):
        MysqlGtidSet.parse(text)


def test_mysql_encodings() -> None:
    plain = MysqlGtidSet.parse(f"{A}:1-5")
    assert (
        plain.encode().hex()
        == "01" + "00" * 7 + A.replace("-", "") + "01" + "00" * 7 + "01" + "00" * 7 + "06" + "00" * 7
    )
    assert MysqlGtidSet.parse(f"{A}:ab:1").encode().hex().startswith("0101000000000001" + A.replace("-", "") + "046162")
    with pytest.raises(BadInput):
        MysqlGtidSet.decode(plain.encode()[:-1])


MariadbModel = dict[int, tuple[int, int]]


def build_mariadb(model: MariadbModel) -> MariadbGtidSet:
    result = MariadbGtidSet()
    for domain, (number, server) in model.items():
        result.add(domain, server, number)
    return result


def expand(model: MariadbModel) -> set[tuple[int, int]]:
    return {(domain, n) for domain, (number, _) in model.items() for n in range(1, number + 1)}


def reach(value: MariadbGtidSet) -> set[tuple[int, int]]:
    return {(domain, n) for domain in range(4) for n in range(1, value.last(domain) + 1)}


@given(mariadb_models, mariadb_models)
def test_mariadb_operations_agree_with_sets(first: MariadbModel, second: MariadbModel) -> None:
    one, other = build_mariadb(first), build_mariadb(second)
    assert MariadbGtidSet.parse(str(one)) == one
    assert reach(one) == expand(first)
    assert reach(one.union(other)) == expand(first) | expand(second)
    assert one.union(other) == other.union(one)
    assert reach(one.intersection(other)) == expand(first) & expand(second)
    assert one.is_subset(other) == (expand(first) <= expand(second))
    assert {d for d, _ in reach(one.minus(other))} == {d for d, _ in expand(first) - expand(second)}


def test_mariadb_contains_by_sequence_whatever_the_server() -> None:
    value = MariadbGtidSet.parse("0-1-5, 7-2-9")
    assert value.contains("0-9-5")
    assert not value.contains("0-1-6")
    assert not value.contains("1-1-1")
    copy = value.copy()
    copy.add_gtid("0-3-6")
    copy.add_gtid("7-3-1")
    assert (str(value), str(copy)) == ("0-1-5,7-2-9", "0-3-6,7-2-9")


@pytest.mark.parametrize("text", ["1-2", "a-b-c", "0-1-5-6", f"{2**32}-1-1", A])
def test_mariadb_refuses(text: str) -> None:
    with pytest.raises(BadInput):
        gtid_set("mariadb", text)
