"""`hedgerow demo` and `hedgerow playground`: a whole cluster on this machine."""

from __future__ import annotations

import click

_flavour = click.option(
    "--flavour",
    type=click.Choice(["mariadb", "mysql"]),
    default="mariadb",
    show_default=True,
    help="Flavour of both servers.",
)


@click.command()
@_flavour
def demo(flavour: str) -> int:
    """Replicate a live workload with three nodes, kill the owner, and compare source and sink.

    Starts etcd, two database servers and three nodes in a temporary directory and leaves nothing behind. Exits 0 only
    if source and sink are equal at the end.
    """
    from hedgerow.demo import run_demo

    return run_demo("mysql" if flavour == "mysql" else "mariadb")


@click.command()
@_flavour
@click.option("--nodes", type=click.IntRange(1, 9), default=3, show_default=True, help="How many nodes to run.")
@click.option("--workload/--no-workload", default=True, help="Write to the source continuously. [on]")
def playground(flavour: str, nodes: int, workload: bool) -> int:
    """Keep a cluster with a source and a sink running to play with, until Ctrl-C."""
    from hedgerow.playground import run_playground

    return run_playground("mysql" if flavour == "mysql" else "mariadb", nodes, workload)
