"""`hedgerow node`: run a node; and its subcommands: see and operate the nodes of a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from hedgerow.cli import render
from hedgerow.cli.client import Client, with_client
from hedgerow.cli.complete import changefeed_names, node_ids
from hedgerow.common import log
from hedgerow.common.config import NodeConfig
from hedgerow.common.mysql import secrets
from hedgerow.common.pb.v1 import admin_pb2 as pb

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(invoke_without_command=True)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with the same settings.")
@click.option("--name", help="Name of the node; every start adds a suffix. [host name]")
@click.option("--cluster", help="Nodes with the same cluster name work together. [default]")
@click.option("--etcd", multiple=True, metavar="HOST:PORT", help="An etcd member; may be repeated. [127.0.0.1:2379]")
@click.option("--etcd-ca", type=click.Path(path_type=Path), help="CA certificate for etcd; turns TLS on.")
@click.option("--etcd-cert", type=click.Path(path_type=Path), help="Client certificate for etcd.")
@click.option("--etcd-key", type=click.Path(path_type=Path), help="Key of that certificate.")
@click.option("--etcd-user", help="User to authenticate to etcd as.")
@click.option(
    "--etcd-password-file", type=click.Path(path_type=Path), help="File with its password. [or HEDGEROW_ETCD_PASSWORD]"
)
@click.option("--listen", metavar="HOST:PORT", help="Address to serve gRPC on. [127.0.0.1:7300]")
@click.option("--advertise", metavar="HOST:PORT", help="Address for peers and users to connect to. [--listen]")
@click.option("--insecure", is_flag=True, default=None, help="Serve without TLS on a non-loopback address.")
@click.option("--tls-ca", type=_FILE, help="CA certificates of nodes and users; with cert and key, turns TLS on.")
@click.option("--tls-cert", type=_FILE, help="The node's certificate, for serving and for calling its peers.")
@click.option("--tls-key", type=_FILE, help="Key of that certificate.")
@click.option("--role-node", multiple=True, metavar="NAME", help="Names of nodes, such as DNS:*.peers.example.com.")
@click.option("--role-viewer", multiple=True, metavar="NAME", help="Who may look, such as CN:alice or SUB:alice.")
@click.option("--role-operator", multiple=True, metavar="NAME", help="Who may also pause, resume, drain and move.")
@click.option("--role-admin", multiple=True, metavar="NAME", help="Who may also create, update, remove and skip.")
@click.option("--token-listen", metavar="HOST:PORT", help="Address to serve users with tokens on. [not served]")
@click.option("--token-hashes", type=_FILE, help="File with hashed tokens and their roles.")
@click.option("--jwt-keys", type=_FILE, help="JSON Web Key Set that verifies signed tokens.")
@click.option("--jwt-issuer", help="Required issuer of signed tokens.")
@click.option("--jwt-audience", help="Required audience of signed tokens.")
@click.option("--audit-log", type=_FILE, help="File that records who changed what, and who was refused. [the log]")
@click.option("--allowed-hosts", multiple=True, metavar="HOST", help="Hosts and networks that URIs may name. [all]")
@click.option("--metrics", metavar="HOST:PORT", help="Address to serve Prometheus metrics on. [not served]")
@click.option("--probes", metavar="HOST:PORT", help="Address to serve liveness and readiness on. [not served]")
@click.option("--etcd-patience", type=float, metavar="SECONDS", help="How long to wait for etcd at startup. [0]")
@click.option("--lease-ttl", type=int, metavar="SECONDS", help="A silent node is replaced after this long. [5]")
@click.option(
    "--drain-deadline", type=float, metavar="SECONDS", help="Maximum duration of the hand-over on SIGTERM. [20]"
)
@click.option(
    "--secrets-dirs", multiple=True, metavar="DIR", help="URIs may name files below these. [/run/secrets, ...]"
)
@click.option("--password-env-prefix", help="Prefix of the variables that URIs may name. [HEDGEROW_SECRET_]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least severe level to log. [info]"
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of the log. [text]")
@click.pass_context
def node(context: click.Context, /, config: Path | None, **flags: Any) -> int:
    """Run a node until SIGTERM, or list and operate the nodes of a cluster.

    Every option is also an environment variable HEDGEROW_… and a key of the configuration file. On SIGTERM the node
    hands its work over and exits 0; a second SIGTERM, or the drain deadline, ends it immediately.
    """
    if context.invoked_subcommand is not None:
        return 0
    from hedgerow.node import run_node

    settings = NodeConfig.load(config, flags)
    secrets.reserve([config])
    log.configure(settings.log_level, settings.log_format)
    return asyncio.run(run_node(settings))


@node.command("list")
@with_client
def list_(client: Client) -> None:
    """List the nodes."""
    render.nodes(client.call("ListNodes", pb.ListNodesRequest()).nodes, as_json=client.json)


@node.command()
@click.argument("node", shell_complete=node_ids)
@with_client
def drain(client: Client, node: str) -> None:
    """Start to move all work off a node; `node list` shows what is left.

    NODE is the node's id, or a prefix that no other node's id has.
    """
    drained = client.call("DrainNode", pb.DrainNodeRequest(node=node))
    render.nodes([drained], as_json=client.json)


@node.command("move-maintainer")
@click.argument("name", shell_complete=changefeed_names)
@click.argument("node", shell_complete=node_ids)
@with_client
def move_maintainer(client: Client, name: str, node: str) -> None:
    """Move the ownership of a changefeed to another node."""
    render.changefeed(
        client.call("MoveMaintainer", pb.MoveMaintainerRequest(name=name, node=node)), as_json=client.json
    )
