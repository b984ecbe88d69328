"""`hedgerow token` and `hedgerow certificates`: what is needed to turn TLS and roles on."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import click

from hedgerow.common.control.security.methods import Role
from hedgerow.common.errors import AlreadyExists, BadInput

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("name")
@click.argument("role", type=click.Choice(sorted(role.value for role in Role if role.for_users)))
@click.option("--out", type=_FILE, required=True, help="New file for the token, which only its user may have.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long the token is valid. [until its line is removed]")
def token(name: str, role: str, out: Path, days: int | None) -> None:
    """Make a token and print its line for the nodes' token file.

    The token itself is written only to a new file that only you can read: the nodes know just its hash.
    """
    from hedgerow.common.control.security.tokens import entry_line, new_token

    made = new_token()
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days) if days else None
    line = entry_line(name, Role(role), made, until)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise AlreadyExists(f"{out} exists already: choose another file") from None
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
    click.echo(line)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--node", "nodes", multiple=True, metavar="HOST", help="Host or address of a node; may be repeated.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="Common name of a user; may be repeated.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=30, show_default=True, help="How long the certificates are valid."
)
def certificates(directory: Path, nodes: tuple[str, ...], users: tuple[str, ...], days: int) -> None:
    """Make certificates to try TLS with: an authority, and one certificate for each node and user.

    The authority's key is discarded, so all certificates are made in one go. In production use your own authority.
    """
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from hedgerow.sandbox.certificates import Authority

    if directory.exists() and any(directory.iterdir()):
        raise AlreadyExists(f"{directory} is not empty: choose another directory")
    if len({*nodes, *users}) != len(nodes) + len(users):
        raise BadInput("a name is given twice, but each gets a file of that name")
    if any("/" in name or name in ("", ".", "..", "ca") for name in (*nodes, *users)):
        raise BadInput("each name becomes a file name: it cannot be empty, ., .. or ca, and cannot contain a /")
    valid = datetime.timedelta(days=days)
    try:
        authority = Authority(directory, valid)
        for host in nodes:
            authority.renew(host, hosts=[host])
        for name in users:
            authority.renew(name, hosts=[], uses=[ExtendedKeyUsageOID.CLIENT_AUTH])
    except OSError as error:
        raise BadInput(f"cannot write into {directory}: {error.strerror}") from None
    click.echo(f"{authority.ca_file}  # tls_ca of every node, --tls-ca of every user")
    for name in (*nodes, *users):
        click.echo(f"{directory / name}.pem  {directory / name}.key")
    if nodes:
        names = json.dumps([f"CN:{host}" for host in nodes])
        click.echo(f"role_node = {names}  # in every node's configuration")
