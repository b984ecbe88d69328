"""Names as nasty as the servers allow, and how they are quoted."""

from __future__ import annotations

import random
from typing import Final

# MariaDB and MySQL: a name has up to 64 characters of the basic plane, none of them NUL, and no space at its end. On
# disk a character beyond ASCII takes five bytes, and 255 are the end: so long names are ASCII.
TABLES: Final = (
    *("t1", "t2", "orders", "lines", "Case", "case", "CASE", "select", "table", "from", "a`b", 'a"b', "it's", "``"),
    *("two words", " leads", "semi;colon", "per%cent", "#hash", "--x", "/*c*/", "*/", "back\\slash", "1", "12e3"),
    *("$dollar", "a*b", "?", "!not", "*", "comma,", "(paren", "=", "@at", "a:b", "'", '"', "_", "import", "partition"),
    *("Größe", "große", "日本語", "\u3000wide", "\u00a0hard", "ﬀ", "İ", "ß", "\u017f", "é", "e\u0301", "0x1F"),
    *("tab\there", "line\nbreak", "x" * 64, "y" * 63 + "`"),
    *("_t_new", "_t_old", "t_gho", "progress", "fence", "ddl", "hedgerow", "null", "on"),
)  # fmt: skip
SCHEMAS: Final = ("storm", "Storm", "storm two", "störm", "storm`b", "storm-to")
FILTER: Final = ("st*.*", "St*.*")
COLUMNS: Final = (
    *("a", "b", "c", "d", "e", "name", "order", "Key", "group", "value`s", "two words", "x.y", "größe", "日付"),
    *("import", "discard", "c'c", 'c"c', "rank", "system", "K" * 64, "_", "1st", "references", "select", "index"),
)  # fmt: skip


def quoted(name: str, mark: str = "`") -> str:
    return mark + name.replace(mark, mark * 2) + mark


def fresh(chance: random.Random, pool: tuple[str, ...], taken: set[str]) -> str:
    """One of the pool that is not taken, upper and lower case apart; a numbered one where all are."""
    left = [name for name in pool if name not in taken]
    if left:
        return chance.choice(left)
    return next(name for n in range(1, 10_000) if (name := f"n{n}") not in taken)
