"""A contender for the tests: copies the tables of one schema once.

python copying.py SCHEMA SOURCE_PORT SINK_PORT [--without-one-row], with the passwords in the environment
"""

from __future__ import annotations

import os
import sys

import pymysql


def main(schema: str, source_port: str, sink_port: str, *options: str) -> None:
    source = pymysql.connect(
        host="127.0.0.1", port=int(source_port), user="root", password=os.environ["SOURCE_PASSWORD"], database=schema
    )
    sink = pymysql.connect(
        host="127.0.0.1", port=int(sink_port), user="root", password=os.environ["SINK_PASSWORD"], database=schema
    )
    with source, sink, source.cursor() as read, sink.cursor() as write:
        read.execute("SHOW TABLES")
        for (table,) in read.fetchall():
            read.execute(f"SELECT * FROM {table} ORDER BY id")
            rows = read.fetchall()
            if options:
                rows, options = rows[1:], ()
            write.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
        sink.commit()


main(*sys.argv[1:])
