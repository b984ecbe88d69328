"""Column types of both servers with edge values, as SQL. Each becomes a table of its own.

A value is an SQL expression; it is inserted, changed into its neighbour, and some are deleted. Sources: the data type
chapters of the MySQL 9 and MariaDB 10.11 manuals.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    values: tuple[str, ...]
    extra: str = ""  # further columns, after a comma
    update: tuple[str, ...] = ()  # further updates: assignments for every row
    since: tuple[int, ...] = ()  # the server's first version that has it; none: every one that is supported


def _integers() -> list[Column]:
    columns = []
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        top = 2 ** (bits - 1)
        columns.append(Column(name, name, (str(-top), "-1", "0", "1", str(top - 1))))
        columns.append(Column(f"{name}_unsigned", f"{name} unsigned", ("0", "1", str(top), str(2 * top - 1))))
    return columns


def _texts(types: tuple[str, ...] = ("char(40)", "varchar(300)", "text")) -> list[Column]:
    values = {
        "utf8mb4": ("''", "'a'", "'  x  '", "'grüße 中文 🦔'", "repeat('ü', 30)", "'back\\\\slash\\'quote\\n\\0end'"),
        "latin1": ("''", "'a'", "'grüße'", "repeat('ÿ', 40)"),
        "utf16": ("''", "'a'", "'中文 🦔'", "repeat('中', 40)"),
    }
    columns = [
        Column(f"{kind.split('(')[0]}_{charset}", f"{kind} CHARACTER SET {charset}", texts)
        for charset, texts in values.items()
        for kind in types
    ]
    columns += [
        Column("longtext", "longtext CHARACTER SET utf8mb4", ("''", "repeat('x', 70000)", "repeat('中', 30000)")),
        Column(
            "varchar_long",
            "varchar(8000) CHARACTER SET utf8mb4",
            ("''", "repeat('x', 255)", "repeat('x', 256)", "repeat('中', 8000)"),
        ),
    ]
    return columns


COMMON: tuple[Column, ...] = (
    *_integers(),
    Column("decimal_wide", "decimal(65,30)", ("0", "-0.000000000000000000000000000001", "99999999999999999999999999999999999.999999999999999999999999999999", "-99999999999999999999999999999999999.999999999999999999999999999999", "1.1")),
    Column("decimal_plain", "decimal(10,0) unsigned", ("0", "9999999999")),
    Column("float", "float", ("0", "-0.0", "1.1", "-3.402823466E+38", "1.175494351E-38")),
    Column("double", "double", ("0", "1.1", "-1.7976931348623157E+308", "2.2250738585072014E-308", "0.1 + 0.2")),
    Column("bit_1", "bit(1)", ("b'0'", "b'1'")),
    Column("bit_64", "bit(64)", ("b'0'", "b'1'", "0xFFFFFFFFFFFFFFFF", "0x8000000000000001")),
    Column("bit_12", "bit(12)", ("0", "2748", "4095")),
    Column("bool", "boolean", ("true", "false")),
    Column("date", "date", ("'0000-00-00'", "'2024-00-10'", "'2024-02-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'")),
    Column("time", "time", ("'-838:59:59'", "'00:00:00'", "'838:59:59'", "'-00:00:01'", "'12:34:56'")),
    *(
        Column(f"time_{n}", f"time({n})", ("'-838:59:58.999999'", "'-00:00:00.100000'", "'838:59:58.999999'", "'00:00:00.000001'", "'12:34:56.5'"))
        for n in (1, 3, 6)
    ),
    Column("datetime", "datetime", ("'0000-00-00 00:00:00'", "'2024-00-00 10:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'")),
    *(
        Column(f"datetime_{n}", f"datetime({n})", ("'0000-00-00 00:00:00'", "'2024-02-29 23:59:59.123456'", "'9999-12-31 23:59:59.4'"))
        for n in (2, 4, 6)
    ),
    Column("timestamp", "timestamp NULL", ("'0000-00-00 00:00:00'", "'1970-01-02 00:00:01'", "'2038-01-18 03:14:07'", "'2024-10-27 02:30:00'")),
    *(
        Column(f"timestamp_{n}", f"timestamp({n}) NULL", ("'0000-00-00 00:00:00'", "'1970-01-02 00:00:01.5'", "'2038-01-18 03:14:07.123456'"))
        for n in (3, 5, 6)
    ),
    Column("year", "year", ("0", "1901", "2155", "2024")),
    *_texts(),
    Column("binary", "binary(8)", ("0x00", "0x0102000000000000", "0xFFFFFFFFFFFFFFFF", "'a '")),
    Column("varbinary", "varbinary(300)", ("''", "0x00", "repeat(0xFF, 300)", "0x610000")),
    Column("tinyblob", "tinyblob", ("''", "repeat(0x00, 255)")),
    Column("blob", "blob", ("''", "repeat(0xAB, 65535)")),
    Column("mediumblob", "mediumblob", ("''", "repeat(0xAB, 100000)")),
    Column("longblob", "longblob", ("''", "repeat(0x27, 300000)")),
    Column("enum", "enum('a','ü','中','','x y')", ("'a'", "'ü'", "'中'", "''", "0")),
    Column("enum_latin1", "enum('a','ü') CHARACTER SET latin1", ("'a'", "'ü'")),
    Column("set", "set('a','b','ü','中','e')", ("''", "'a'", "'a,ü,中'", "'a,b,ü,中,e'")),
    Column("set_64", "set(" + ",".join(f"'m{n}'" for n in range(64)) + ")", ("''", "'m0'", "'m63'", "0xFFFFFFFFFFFFFFFF")),
    Column("json", "json", ("'{}'", "'[]'", "'null'", '\'{"a": [1, 2.5, "x", null, true], "ü": {"中": "🦔"}}\'', "'12345678901234567890'", "'\"text\"'")),
    Column("geometry", "geometry", ("ST_GeomFromText('POINT(1 -1)')", "ST_GeomFromText('POLYGON((0 0,0 5,5 5,5 0,0 0))')", "ST_GeomFromText('LINESTRING(0 0,1 1e-300)')")),
    Column("point", "point", ("ST_GeomFromText('POINT(0 0)')", "ST_GeomFromText('POINT(1e300 -1e300)')")),
    Column("not_null", "int NOT NULL DEFAULT 7", ("1", "2", "DEFAULT")),
    Column("generated", "int", ("1", "-5", "1000"), extra="g_virtual int AS (v * 2) VIRTUAL, g_stored int AS (v + 1) STORED, tail varchar(10) DEFAULT 'tail'"),
    Column("many_nulls", "int", ("1", "NULL"), extra=", ".join(f"n{n} varchar(5)" for n in range(20))),
)  # fmt: skip

MYSQL: tuple[Column, ...] = (
    Column("json_partial", "json", ('\'{"a": 1, "b": {"c": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, "d": [1, 2, 3]}\'', '\'{"a": 2, "b": {"c": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}, "d": [4, 5, 6]}\''), update=("v = JSON_SET(v, '$.a', 9)", "v = JSON_REPLACE(v, '$.b.c', 'short')", "v = JSON_REMOVE(v, '$.d[1]')")),
    Column("geometry_srid", "geometry SRID 4326", ("ST_GeomFromText('POINT(10 20)', 4326)", "ST_GeomFromText('LINESTRING(1 2,3 4)', 4326)")),
    Column("invisible", "int", ("1", "2"), extra="hidden int INVISIBLE DEFAULT 5", since=(8, 0, 23)),
    Column("vector", "vector(3)", ("STRING_TO_VECTOR('[1,2,3]')", "STRING_TO_VECTOR('[-1e-30,0,3.4e38]')"), since=(9,)),
)  # fmt: skip

MARIADB: tuple[Column, ...] = (
    Column("uuid", "uuid", ("'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"), since=(10, 7)),
    Column("inet6", "inet6", ("'::'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.128'")),
    Column("inet4", "inet4", ("'0.0.0.0'", "'255.255.255.255'", "'192.0.2.1'"), since=(10, 10)),
    Column("vector", "vector(3)", ("VEC_FromText('[1,2,3]')", "VEC_FromText('[-1e-30,0,3.4e38]')"), since=(11, 7)),
    Column("varchar_compressed", "varchar(5000) COMPRESSED", ("''", "'short'", "repeat('long ', 900)")),
    Column("text_compressed", "mediumtext COMPRESSED", ("''", "repeat('long ', 20000)")),
    Column("blob_compressed", "blob COMPRESSED", ("''", "repeat(0x00FF, 9000)")),
    Column("invisible", "int", ("1", "2"), extra="hidden int INVISIBLE DEFAULT 5"),
)  # fmt: skip


def columns_of(flavour: str, version: tuple[int, ...]) -> tuple[Column, ...]:
    columns = COMMON + (MARIADB if flavour == "mariadb" else MYSQL)
    return tuple(column for column in columns if version >= column.since)
