"""A cluster to play with: three nodes, a source with a workload, a sink, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

from rich.console import Console

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.servers import Server
from hedgerow.sandbox.workload import SCHEMA, Workload

TRANSACTIONS_PER_SECOND = 50


def run_playground(flavour: Flavour, nodes: int, with_workload: bool) -> int:
    console = Console(highlight=False, soft_wrap=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    console.print(f"starting etcd, two {flavour} servers and {nodes} nodes …")
    with Cluster(flavour, nodes=nodes) as cluster:
        workload = Workload(cluster.pair.source.root, rate=TRANSACTIONS_PER_SECOND, seed=1)
        workload.create_tables()
        if with_workload:
            workload.start()
        _explain(console, cluster)
        ended.wait()
        console.print("\nstopping everything …")
        if with_workload:
            workload.stop()
    return 0


def _explain(console: Console, cluster: Cluster) -> None:
    addr = cluster.nodes[0].address
    print_ = console.print
    print_("\n[bold]The cluster[/bold]")
    for node in cluster.nodes:
        print_(f"  {node.name}  {node.address}  metrics http://{node.metrics}/metrics  log {node.process.log}")
    print_(f"  etcd   {', '.join(cluster.etcd.endpoints)}")
    print_("\n[bold]The servers[/bold] (root, over TCP)")
    for name, server in (("source", cluster.pair.source), ("sink", cluster.pair.sink)):
        print_(f"  {name:6}  {_client(server)}")
    print_(f"\n[bold]Replicate[/bold] schema {SCHEMA} (the sink is empty, so begin with the first CREATE TABLE)")
    print_(f"  export HEDGEROW_ADDR={addr}")
    print_("  hedgerow changefeed create shop \\")
    print_(f"    --source '{cluster.pair.source_uri}' \\")
    print_(f"    --sink '{cluster.pair.sink_uri}' \\")
    print_(f"    --filter '{SCHEMA}.*' --start earliest")
    print_("  hedgerow changefeed watch shop")
    print_("  hedgerow node list")
    print_("\n[bold]Break it[/bold]")
    for node in cluster.nodes:
        print_(f"  kill -9 {node.process.pid}    # {node.name}")
    print_("\nCtrl-C ends everything and removes it.")


def _client(server: Server) -> str:
    access = server.root
    return f"mysql -h {access.host} -P {access.port} -u {access.user} -p\"$(cat '{access.password_file}')\""
