"""The servers' settings: one list for a source, one for a sink, the same whoever applies.

A sink writes a binlog of what it applies, as one that can be promoted or chained does: MySQL's default, and
log_slave_updates on MariaDB. Without it native replication on MariaDB would write no binlog while Hedgerow, which is a
client, always does, and sync_binlog would mean nothing.
"""

from __future__ import annotations

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.servers import Option

_BOTH: dict[str, Option] = {"innodb_buffer_pool_size": "512M", "max_allowed_packet": "64M"}
_LOGS: dict[Flavour, dict[str, Option]] = {
    "mariadb": {"innodb_log_file_size": "512M"},
    "mysql": {"innodb_redo_log_capacity": "1G"},
}
_SINK: dict[Flavour, dict[str, Option]] = {
    "mariadb": {"log_slave_updates": True},
    "mysql": {"log_replica_updates": "ON"},
}


def source_options(flavour: Flavour) -> dict[str, Option]:
    return {**_BOTH, **_LOGS[flavour], "innodb_flush_log_at_trx_commit": 2, "sync_binlog": 0}


def sink_options(flavour: Flavour, *, durable: bool) -> dict[str, Option]:
    """Durable: every commit is on disk in the redo log and in the binlog before it is acknowledged."""
    durability: dict[str, Option] = (
        {"innodb_flush_log_at_trx_commit": 1, "sync_binlog": 1}
        if durable
        else {"innodb_flush_log_at_trx_commit": 2, "sync_binlog": 0}
    )
    return {**_BOTH, **_LOGS[flavour], **_SINK[flavour], **durability}
