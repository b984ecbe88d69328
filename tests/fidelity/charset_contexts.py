"""The context matrix, of the character sets that a session speaks: names and texts in bytes of each kind."""

from __future__ import annotations

from tests.fidelity.case import Case

CHARSET_CASES: tuple[Case, ...] = (
    Case(
        "latin1",
        (
            b"CREATE TABLE @.`stra\xdfe` (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET latin1 DEFAULT _latin1'\xe9',"
            b" b VARBINARY(9) DEFAULT _binary'\xe9\xff', c INT COMMENT '\xc3\x81\x8d\x8f\x90\x9d')",
            b"CREATE TEMPORARY TABLE @.tmp (`\xdf` INT)",
            b"CREATE TABLE @.`wie\xdf` LIKE @.tmp",
            b"CREATE VIEW @.`sicht\xdf` AS SELECT '\xdf' AS `\xe9`",
            b"CREATE TRIGGER @.`tr\xdf` BEFORE INSERT ON @.`wie\xdf` FOR EACH ROW SET NEW.`\xdf` = LENGTH('\xe9')",
            b"CREATE PROCEDURE @.`p\xdf` (`\xdf` CHAR(9)) SELECT '\xe9'",
            b"CREATE TABLE @.`weg\xe9` (a INT)",
            b"RENAME TABLE @.`weg\xe9` TO @.`weg\xea`",
            b"DROP TABLE @.`weg\xea`",
        ),
        ("character_set_client",),
        "NAMES latin1",
        after=(b"INSERT INTO @.`stra\xdfe` (id) VALUES (1)", b"INSERT INTO @.`wie\xdf` VALUES (4)"),
    ),
    Case("latin1_select", (b"CREATE TABLE @.`als\xdf` AS SELECT '\xe9' AS `\xe9`",), (), "NAMES latin1", since=(8, 0, 21)),
    Case(
        "binary",
        ("CREATE TABLE @.`gr\u00f6\u00dfe` (id INT, v VARCHAR(9) CHARACTER SET utf8mb4 DEFAULT '\u00e4' COMMENT 'Gr\u00f6\u00dfe')",),
        (),
        "NAMES binary",
        after=("INSERT INTO @.`gr\u00f6\u00dfe` (id) VALUES (1)",),
    ),
    Case(
        "gbk",
        (b"CREATE TABLE @.`\x95\x5c\x95\x60` (a VARCHAR(9) CHARACTER SET gbk DEFAULT '\x95\x5c', b INT COMMENT '\x95\x5c')",),
        (),
        "NAMES gbk",
        after=(b"INSERT INTO @.`\x95\x5c\x95\x60` (b) VALUES (1)",),
    ),
    Case(
        "sjis",
        (b"CREATE TABLE @.`\x95\x5c` (a VARCHAR(9) CHARACTER SET sjis DEFAULT '\x95\x5c', b INT COMMENT '\xb1')",),
        (),
        "NAMES sjis",
        after=(b"INSERT INTO @.`\x95\x5c` (b) VALUES (1)",),
    ),
    Case(
        "big5",
        (b"CREATE TABLE @.`\xa5\x5c` (a VARCHAR(9) CHARACTER SET big5 DEFAULT '\xa5\x5c')",),
        (),
        "NAMES big5",
        after=(b"INSERT INTO @.`\xa5\x5c` VALUES ('\xa5\x5c')",),
    ),
    Case(
        "dec8",
        (b"CREATE TABLE @.`\xd7` (a VARCHAR(9) CHARACTER SET dec8 DEFAULT '\xd7\xf7')",),
        (),
        "NAMES dec8",
        after=(b"INSERT INTO @.`\xd7` VALUES ('\xf7')",),
    ),
    Case("swe7", (b"CREATE TABLE @.sw (`[a` INT COMMENT '[]{}')",), (), "NAMES swe7"),
    Case(
        "eucjpms",
        (b"CREATE TABLE @.`\xc9\xbd` (a VARCHAR(9) DEFAULT '\xa1\xc1') CHARACTER SET eucjpms",),
        (),
        "NAMES eucjpms",
        after=(b"INSERT INTO @.`\xc9\xbd` VALUES ('\xa1\xc1')",),
    ),
    Case("armscii8", (b"CREATE TABLE @.`\xb2\xb3` (a INT COMMENT '\xb2')",), (), "NAMES armscii8", after=(b"INSERT INTO @.`\xb2\xb3` VALUES (1)",)),
    Case("gb18030", (b"CREATE TABLE @.`\x81\x30\x81\x37\x95\x5c` (a INT)",), (), "NAMES gb18030", flavour="mysql"),
    Case("high_collation", ("CREATE TABLE @.t (v VARCHAR(9) DEFAULT '\u00fc')",), (), "NAMES utf8mb4 COLLATE utf8mb4_0900_bin", flavour="mysql", since=(8, 0, 17)),
    Case("nopad", ("CREATE TABLE @.t (v VARCHAR(9) DEFAULT '\u00fc')",), (), "NAMES utf8mb4 COLLATE utf8mb4_nopad_bin", flavour="mariadb"),
    Case(
        "uca1400", ("CREATE TABLE @.t (v VARCHAR(9) DEFAULT '\u00fc')",), (), "NAMES utf8mb4 COLLATE utf8mb4_uca1400_ai_ci", flavour="mariadb", since=(10, 10)
    ),
)  # fmt: skip
