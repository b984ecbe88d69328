"""The context matrix: for everything that a query event says of its session, DDL whose result depends on it.

A case is executed on the source in a session of its own, while the sink's globals say the opposite. What servers do not
log, but a replica's threads are spared, is here too.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.fidelity.case import Case
from tests.fidelity.charset_contexts import CHARSET_CASES

NO_DDL_DEPENDS_ON: Mapping[str, str] = {
    "unique_checks": "secondary indexes of InnoDB are filled in another order",
    "sql_auto_is_null": "it changes what WHERE column IS NULL finds after an INSERT",
    "system_versioning_insert_history": "it lets INSERT name row_start and row_end",
}

_ROWS = ("CREATE TABLE @.t (v VARCHAR(10))", "INSERT INTO @.t VALUES ('a'), ('b'), ('c')")
_KEYED = ("CREATE TABLE @.t (v VARCHAR(10) PRIMARY KEY)", "INSERT INTO @.t VALUES ('a'), ('b'), ('c')")
_NUMBERED = ("ALTER TABLE @.t ADD id INT AUTO_INCREMENT FIRST, ADD UNIQUE (id)",)
_STAMPS = (
    "CREATE TABLE @.t (id INT PRIMARY KEY, a TIMESTAMP, b TIMESTAMP)",
    "CREATE TABLE @.u (id INT PRIMARY KEY, ts TIMESTAMP)",
    "ALTER TABLE @.u ADD more TIMESTAMP",
)
_KEYLESS = ("CREATE TABLE @.t (a INT)",)
_ONE_ROW = ("CREATE TABLE @.t (id INT PRIMARY KEY, v VARCHAR(10))", "INSERT INTO @.t VALUES (1, 'x')")
_WIDE = ", ".join(f"c{n} VARCHAR(10)" for n in range(1, 206))

CASES: tuple[Case, ...] = (
    Case(
        "auto_increment",
        _NUMBERED,
        ("auto_increment_increment", "auto_increment_offset"),
        "auto_increment_increment = 10, auto_increment_offset = 3",
        before=_KEYED,
    ),
    Case("auto_increment_of_one", _NUMBERED, (), "auto_increment_increment = 1, auto_increment_offset = 1", before=_KEYED),
    Case(
        "ansi_quotes",
        ('CREATE TABLE @."t" ("a" CHAR(9) DEFAULT \'\\\', b CHAR(9) AS ("a" || \'x\'))',),
        ("sql_mode",),
        "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        {"sql_mode": "''"},
        after=("INSERT INTO @.t (a) VALUES ('q')",),
    ),
    Case(
        "lenient",
        ("CREATE TABLE @.t (a DATE DEFAULT '0000-00-00', b INT DEFAULT \"7\", c CHAR(9) DEFAULT 'a\\'b')",),
        session="sql_mode = ''",
        sink={"sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'"},
        after=("INSERT INTO @.t () VALUES ()",),
    ),
    Case(
        "oracle",
        ("CREATE PROCEDURE @.p (a IN OUT NUMBER) AS BEGIN a := a + 1; END", "CREATE TABLE @.t (a VARCHAR2(9), d DATE)"),
        session="sql_mode = ORACLE",
        flavour="mariadb",
    ),
    Case(
        "time_zone",
        (
            "CREATE TABLE @.t (id INT, a TIMESTAMP NULL DEFAULT '2020-01-01 00:00:00')",
            "CREATE TABLE @.p (a TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00') PARTITION BY RANGE (UNIX_TIMESTAMP(a))"
            " (PARTITION p0 VALUES LESS THAN (UNIX_TIMESTAMP('2021-01-01 00:00:00')), PARTITION p1 VALUES LESS THAN MAXVALUE)",
        ),
        ("time_zone",),
        "time_zone = '+03:00'",
        {"time_zone": "'-08:00'"},
        after=("INSERT INTO @.t (id) VALUES (1)",),
    ),
    Case(
        "timestamp",
        ("ALTER TABLE @.t ADD at DATETIME(6) NOT NULL DEFAULT NOW(6), ADD s DATETIME DEFAULT NOW()",),
        ("timestamp",),
        "time_zone = '-05:00', timestamp = 1600000000.123456",
        before=_ROWS,
    ),
    Case(
        "lc_time_names",
        ("ALTER TABLE @.t ADD m VARCHAR(30) DEFAULT (MONTHNAME('2020-05-05'))",),
        ("lc_time_names",),
        "lc_time_names = 'de_DE'",
        {"lc_time_names": "'it_IT'"},
        before=_ROWS,
        since=(8, 4),
    ),
    Case(
        "lc_time_names_of_english",
        ("ALTER TABLE @.t ADD m VARCHAR(30) DEFAULT (MONTHNAME('2020-05-05'))",),
        session="lc_time_names = 'en_US'",
        sink={"lc_time_names": "'it_IT'"},
        before=_ROWS,
        since=(8, 4),
    ),
    Case(
        "collation_connection",
        ("CREATE VIEW @.v AS SELECT 'a' AS a, CONCAT('b', 1) AS b",),
        ("collation_connection",),
        "NAMES latin1 COLLATE latin1_bin",
    ),
    Case(
        "collation_server",
        ("CREATE DATABASE @", "CREATE TABLE @.t (a CHAR(3))"),
        ("collation_server",),
        "collation_server = 'cp1251_bin'",
        {"collation_server": "'greek_bin'"},
        sure=False,
    ),
    Case(
        "collation_database",
        ("CREATE PROCEDURE @.p (a CHAR(9)) SELECT a", "CREATE TABLE @.t (a CHAR(9))"),
        ("collation_database",),
        "collation_database = 'latin2_bin'",
        {"collation_database": "'greek_bin'"},
    ),
    Case(
        "default_schema_of_its_own_charset",
        ("USE @", "CREATE PROCEDURE p (a CHAR(9)) SELECT a", "CREATE TABLE t (a CHAR(9))"),
        before=("ALTER DATABASE @ CHARACTER SET cp1251",),
    ),
    Case(
        "foreign_key_checks",
        ("CREATE TABLE @.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES @.p (id))", "CREATE TABLE @.p (id INT PRIMARY KEY)"),
        ("foreign_key_checks",),
        "foreign_key_checks = 0",
        {"foreign_key_checks": "1"},
    ),
    Case(
        "implicit_timestamps",
        _STAMPS,
        ("explicit_defaults_for_timestamp",),
        "sql_mode = '', explicit_defaults_for_timestamp = OFF",
        {"explicit_defaults_for_timestamp": "ON"},
        after=("INSERT INTO @.t (id, b) VALUES (1, '2020-01-01')",),
    ),
    Case(
        "explicit_timestamps",
        _STAMPS,
        (),
        "explicit_defaults_for_timestamp = ON",
        {"explicit_defaults_for_timestamp": "OFF"},
        after=("INSERT INTO @.t (id) VALUES (1)", "INSERT INTO @.u VALUES (1, NULL, NULL)"),
    ),
    Case(
        "check_constraint_checks",
        ("ALTER TABLE @.t ADD CONSTRAINT c CHECK (v < 'b')",),
        ("check_constraint_checks",),
        "check_constraint_checks = 0",
        {"check_constraint_checks": "1"},
        before=_ROWS,
        flavour="mariadb",
    ),
    Case(
        "sql_if_exists",
        ("DROP VIEW @.v, @.nope", "DROP TABLE @.t, @.nope", "DROP SEQUENCE @.nope"),
        ("sql_if_exists",),
        "sql_if_exists = 1",
        before=(*_ROWS, "CREATE VIEW @.v AS SELECT 1"),
        flavour="mariadb",
    ),
    Case(
        "dropped_in_part",
        ("DROP TABLE @.t, @.nope", "DROP VIEW @.v, @.nope", "DROP SEQUENCE @.s, @.nope", "CREATE TABLE @.last (a INT)"),
        ("error_code",),
        before=(*_ROWS, "CREATE VIEW @.v AS SELECT 1", "CREATE SEQUENCE @.s"),
        flavour="mariadb",
        fails={"DROP TABLE": 1051, "DROP VIEW": 4092, "DROP SEQUENCE": 4091},
    ),
    Case(
        "two_phase_alter",
        ("ALTER TABLE @.t ADD w INT DEFAULT 5", "ALTER TABLE @.t ADD UNIQUE (w)", "ALTER TABLE @.t ADD x INT"),
        ("alter_phase",),
        "binlog_alter_two_phase = 1",
        before=_ROWS,
        flavour="mariadb",
        fails={"ADD UNIQUE": 1062},
    ),
    Case(
        "alter_history",
        ("ALTER TABLE @.t ADD w INT DEFAULT 5",),
        session="system_versioning_alter_history = KEEP",
        sink={"system_versioning_alter_history": "ERROR"},
        before=(
            "CREATE TABLE @.t (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
            "INSERT INTO @.t VALUES (1, 1)",
            "UPDATE @.t SET v = 2",
        ),
        after=("UPDATE @.t SET w = 6",),
        flavour="mariadb",
        versioned=True,
    ),
    Case(
        "character_set_collations",
        ("CREATE TABLE @.t (k VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY)",),
        ("character_set_collations",),
        "character_set_collations = 'utf8mb4=utf8mb4_bin,latin1=latin1_bin'",
        after=("INSERT INTO @.t VALUES ('a'), ('A')",),
        flavour="mariadb",
        since=(11, 2),
    ),
    Case(
        "usual_collations",
        ("CREATE TABLE @.t (k VARCHAR(20)) CHARACTER SET utf8mb4", "CREATE TABLE @.u (k VARCHAR(20) CHARACTER SET utf8mb3)"),
        after=("INSERT INTO @.t VALUES ('a'), ('A')",),
    ),
    Case(
        "no_collations",
        ("CREATE TABLE @.t (k VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY)",),
        (),
        "character_set_collations = ''",
        after=("INSERT INTO @.t VALUES ('a'), ('\u00e6'), ('ae')",),
        flavour="mariadb",
        since=(11, 2),
    ),
    Case(
        "default_collation_for_utf8mb4",
        ("CREATE TABLE @.t (k VARCHAR(20) CHARACTER SET utf8mb4) CHARACTER SET utf8mb4",),
        ("default_collation_for_utf8mb4",),
        "default_collation_for_utf8mb4 = utf8mb4_general_ci",
        {"default_collation_for_utf8mb4": "utf8mb4_0900_ai_ci"},
        flavour="mysql",
    ),
    Case(
        "other_default_collation_for_utf8mb4",
        ("CREATE TABLE @.t (k VARCHAR(20) CHARACTER SET utf8mb4) CHARACTER SET utf8mb4",),
        (),
        "default_collation_for_utf8mb4 = utf8mb4_0900_ai_ci",
        {"default_collation_for_utf8mb4": "utf8mb4_general_ci"},
        flavour="mysql",
    ),
    Case(
        "sql_require_primary_key",
        _KEYLESS,
        ("sql_require_primary_key",),
        "sql_require_primary_key = 0",
        {"sql_require_primary_key": "1"},
        flavour="mysql",
        since=(8, 0, 13),
    ),
    Case(
        "default_table_encryption",
        ("CREATE DATABASE @", "CREATE TABLE @.t (a INT PRIMARY KEY)"),
        ("default_table_encryption",),
        "default_table_encryption = 0",
        {"default_table_encryption": "0"},
        flavour="mysql",
        since=(8, 0, 16),
        sure=False,
    ),
    Case(
        "no_invisible_primary_key",
        _KEYLESS,
        (),
        "sql_generate_invisible_primary_key = 0",
        {"sql_generate_invisible_primary_key": "1"},
        after=("INSERT INTO @.t VALUES (1), (1)",),
        flavour="mysql",
        since=(8, 0, 30),
    ),
    Case(
        "invisible_primary_key",
        (b"CREATE TABLE @.t (`\xdf` INT)",),
        (),
        "NAMES latin1, sql_generate_invisible_primary_key = 1",
        {"sql_generate_invisible_primary_key": "0"},
        after=(b"INSERT INTO @.t (`\xdf`) VALUES (1), (1)",),
        flavour="mysql",
        since=(8, 0, 30),
    ),
    Case(
        "foreign_key_to_a_part_of_a_key",
        ("CREATE TABLE @.p (a INT, b INT, KEY (a, b))", "CREATE TABLE @.c (a INT, FOREIGN KEY (a) REFERENCES @.p (a))"),
        (),
        "restrict_fk_on_non_standard_key = 0",
        {"restrict_fk_on_non_standard_key": "1"},
        flavour="mysql",
        since=(8, 4),
    ),
    Case(
        "innodb_strict_mode",
        (f"CREATE TABLE @.t (id INT PRIMARY KEY, {_WIDE}) CHARSET = utf8mb4 ROW_FORMAT = DYNAMIC",),
        (),
        "innodb_strict_mode = OFF",
        {"innodb_strict_mode": "ON"},
        after=("INSERT INTO @.t (id, c1, c197) VALUES (1, 'a', 'z')",),
    ),
    Case(
        "storage_engine", ("CREATE TABLE @.t (a INT)",), (), "default_storage_engine = InnoDB", {"default_storage_engine": "MyISAM"}
    ),
    Case(
        "alter_algorithm",
        ("ALTER TABLE @.t MODIFY v TEXT, ADD FULLTEXT (v)",),
        sink={"alter_algorithm": "INSTANT"},
        before=_ONE_ROW,
        flavour="mariadb",
    ),
    Case(
        "statements_that_take_their_time",
        ("ALTER TABLE @.t ADD w INT, ALGORITHM = COPY",),
        sink={"max_statement_time": "0.2"},
        before=("CREATE TABLE @.t (a INT PRIMARY KEY, b CHAR(200))", "INSERT INTO @.t SELECT seq, seq FROM @.seq_1_to_150000"),
        flavour="mariadb",
    ),
    Case(
        "settings_of_its_own_sessions",
        ("ALTER TABLE @.t ADD w INT", "CREATE TABLE @.u (a INT)", "DROP TABLE @.u"),
        sink={"sql_select_limit": "1", "max_join_size": "1", "sql_safe_updates": "1", "completion_type": "2"},
        before=_ONE_ROW,
        after=("INSERT INTO @.t VALUES (2, 'y', 3)",),
    ),
    Case(
        "read_only_transactions",
        ("ALTER TABLE @.t ADD w INT",),
        sink={"transaction_read_only": "1"},
        before=_ONE_ROW,
        after=("INSERT INTO @.t VALUES (2, 'y', 3)",),
    ),
    Case("a_schema_without_rights", ("USE admin", "ALTER TABLE @.t ADD w INT", "CREATE VIEW @.v AS SELECT 1"), before=_ROWS),
    *CHARSET_CASES,
)  # fmt: skip
