"""Reads MariaDB's SET STATEMENT variable = value, ... FOR statement, in which form the binlog has it. Pure.

The sink executes the statement under the variables that bear on what it makes. The others are taken out: limits of the
source's session (max_statement_time would end a statement again and again in a slower sink), and what is about the
source's own binlog, which the sink's account may not set. What the binlog tells of the session holds the values that
are set here.
"""

from __future__ import annotations

from typing import Final

from hedgerow.dispatcher.ddl.model import Edit
from hedgerow.dispatcher.ddl.scan import Scan, Unclear

_LIMITS: Final = """max_statement_time lock_wait_timeout innodb_lock_wait_timeout sort_buffer_size join_buffer_size
read_buffer_size read_rnd_buffer_size mrr_buffer_size tmp_table_size tmp_memory_table_size tmp_disk_table_size
max_heap_table_size max_tmp_session_space_usage myisam_sort_buffer_size bulk_insert_buffer_size preload_buffer_size
net_read_timeout net_write_timeout wait_timeout interactive_timeout idle_transaction_timeout long_query_time
slow_query_log min_examined_row_limit log_queries_not_using_indexes join_cache_level use_stat_tables profiling
eq_range_index_dive_limit progress_report_time max_session_mem_used sql_log_off sql_notes sql_warnings max_error_count
alter_algorithm expensive_subquery_limit max_seeks_for_key"""
_OF_THE_BINLOG: Final = """binlog_format binlog_row_image binlog_row_metadata binlog_annotate_row_events
binlog_direct_non_transactional_updates binlog_alter_two_phase sql_log_bin gtid_domain_id gtid_seq_no server_id
skip_replication pseudo_thread_id timestamp"""
_LEFT_OUT: Final = frozenset(f"{_LIMITS} {_OF_THE_BINLOG}".split())
_FAMILIES: Final = ("log_slow_", "optimizer_", "histogram_", "query_cache_", "deadlock_", "debug", "thread_pool_")


def set_statement(scan: Scan) -> tuple[Edit, ...]:
    """Moves to the statement that SET STATEMENT is about; the edits that leave only what matters of it. Does nothing
    where the cursor is at another statement. Raises Unclear where the sink could not be told the same."""
    edits: list[Edit] = []
    while scan.looks_at("SET") and scan.looks_at("STATEMENT", ahead=1):
        start = scan.tokens[scan.at].start
        scan.at += 2
        kept: list[tuple[int, int]] = []
        first = True
        while first or scan.takes(","):
            first = False
            begin = scan.at
            if _is_kept(scan):
                kept.append((begin, scan.at))
        scan.expect("FOR")
        if scan.done:
            raise Unclear("SET STATEMENT without a statement")
        after = scan.tokens[scan.at].start
        if not kept:
            edits.append(Edit(start, after, ""))
            continue
        done, text = start, "SET STATEMENT "
        for begin, end in kept:
            edits.append(Edit(done, scan.tokens[begin].start, text))
            last = scan.tokens[end - 1]
            done, text = last.start + len(last.text), ", "
        edits.append(Edit(done, after, " FOR "))
    return tuple(edits)


def _is_kept(scan: Scan) -> bool:
    """Moves over one assignment; whether the sink is to make it, too."""
    name = scan.identifier().lower()
    if scan.takes("."):
        name = f"{name}.{scan.identifier().lower()}"
    scan.takes(":")
    scan.expect("=")
    begin, depth = scan.at, 0
    while not scan.done and (depth or not scan.looks_at(",", "FOR")):
        depth += scan.looks_at("(") - scan.looks_at(")")
        scan.skip()
    if name in _LEFT_OUT or name.startswith(_FAMILIES):
        return False
    if name == "sql_mode":
        raise Unclear("SET STATEMENT sql_mode: the mode that the statement was read in is not in the binlog")
    if any(token.kind == "symbol" and token.value in "(@" for token in scan.tokens[begin : scan.at]):
        raise Unclear(f"SET STATEMENT {name} to a value that has to be computed")
    return True
