"""`hedgerow changefeed …`: create and operate changefeeds."""

from __future__ import annotations

import getpass
import sys
import tomllib
from pathlib import Path
from socket import gethostname
from typing import Any

import click

from hedgerow.cli import render
from hedgerow.cli.client import Client, with_client
from hedgerow.cli.complete import changefeed_names, node_ids
from hedgerow.cli.watch import show_live
from hedgerow.common.errors import BadInput
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2

_CONSISTENCY = {"table": model_pb2.TABLE, "transaction": model_pb2.TRANSACTION}
_NUMBERS = ("lanes", "batch_transactions", "batch_bytes")
_FILE_KEYS = ("source", "sink", "filter", "start", "consistency", *_NUMBERS)

name_argument = click.argument("name", shell_complete=changefeed_names)


def _changefeed_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--source", metavar="URI", help="mysql://user@host:port/?password_file=PATH or ?password_env=NAME"
            ),
            click.option("--sink", metavar="URI", help="The same, for the server to apply to."),
            click.option(
                "--filter",
                "filter_",
                multiple=True,
                metavar="RULE",
                help="db.table with * and ?; ! excludes; later rules win. May be repeated.",
            ),
            click.option(
                "--consistency",
                type=click.Choice(list(_CONSISTENCY)),
                help="What is atomic in the sink: each table's changes, or whole source transactions. [table]",
            ),
            click.option("--lanes", type=click.IntRange(1, 64), help="Sink connections on each node. [4]"),
            click.option(
                "--batch-transactions",
                type=click.IntRange(1, 100_000),
                help="Maximum number of source transactions in one sink transaction. [1000]",
            ),
            click.option(
                "--batch-bytes",
                type=click.IntRange(4096, 67_108_864),
                help="Maximum binlog bytes in one sink transaction. [4194304]",
            ),
            click.option(
                "--config",
                type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
                help="TOML file with the same settings (-: standard input); options override it.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group()
def changefeed() -> None:
    """Create and operate changefeeds."""


@changefeed.command()
@click.argument("name")
@_changefeed_options
@click.option("--start", metavar="POSITION", help="now, earliest, gtid:SET or file:NAME:OFFSET. [now]")
@with_client
def create(client: Client, name: str, config: Path | None, **given: Any) -> None:
    """Check source and sink, then create a changefeed."""
    settings = _settings(config, given)
    for key in ("source", "sink"):
        if key not in settings:
            raise BadInput(f'--{key} is missing: pass it, or set {key} = "mysql://…" in the --config file')
    request = pb.CreateChangefeedRequest(
        name=name,
        source=settings["source"],
        sink=settings["sink"],
        filter=settings.get("filter", ()),
        start=settings.get("start", "now"),
        options=_options(settings),
    )
    render.changefeed(client.call("CreateChangefeed", request), as_json=client.json)


@changefeed.command("list")
@with_client
def list_(client: Client) -> None:
    """List the changefeeds."""
    render.changefeeds(client.call("List", pb.ListRequest()).changefeeds, as_json=client.json)


@changefeed.command()
@name_argument
@with_client
def get(client: Client, name: str) -> None:
    """Show one changefeed: state, position, dispatchers, errors, latest ownership changes."""
    render.changefeed(client.call("Get", pb.ChangefeedRequest(name=name)), as_json=client.json)


@changefeed.command()
@name_argument
@click.option("--count", type=click.IntRange(1), help="Stop after this many updates. [until interrupted]")
@with_client
def watch(client: Client, name: str, count: int | None) -> None:
    """Follow one changefeed live: state, epoch, owner, position, lag, rates, dispatchers by node."""
    client.follow("Watch", pb.ChangefeedRequest(name=name), lambda feed: show_live(feed, count, as_json=client.json))


@changefeed.command()
@name_argument
@with_client
def pause(client: Client, name: str) -> None:
    """Stop applying changes; returns once nothing is being applied."""
    render.changefeed(client.call("Pause", pb.ChangefeedRequest(name=name)), as_json=client.json)


@changefeed.command()
@name_argument
@with_client
def resume(client: Client, name: str) -> None:
    """Resume from the position recorded in the sink, after a pause or a failure."""
    render.changefeed(client.call("Resume", pb.ChangefeedRequest(name=name)), as_json=client.json)


@changefeed.command()
@name_argument
@click.option("--transaction", metavar="GTID", help="GTID of the transaction.")
@click.option("--at", metavar="FILE:OFFSET", help="Without GTIDs: where any of its events ends in the source's binlog.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="SCHEMA.TABLE",
    help="Leave out only the rows of this table. May be repeated. [the whole transaction]",
)
@with_client
def skip(client: Client, name: str, transaction: str | None, at: str | None, tables: tuple[str, ...]) -> None:
    """Leave out one transaction that a changefeed stops at; `resume` continues after it.

    None of its rows are applied and none of its DDL is executed. Whatever part of it belongs in the sink, execute there
    before you resume. Tables that its DDL creates or drops are treated from there on as if it had been executed.
    """
    request = pb.SkipRequest(
        name=name, transaction=transaction or "", at=at or "", tables=tables, by=f"{getpass.getuser()}@{gethostname()}"
    )
    feed = client.call("Skip", request)
    render.skipped(feed, as_json=client.json)


@changefeed.command()
@name_argument
@_changefeed_options
@with_client
def update(client: Client, name: str, config: Path | None, **given: Any) -> None:
    """Change the filter, server URIs or options of a changefeed; takes effect at once."""
    settings = _settings(config, given)
    if "start" in settings:
        raise BadInput(
            f"start = {settings['start']!r} in {config} cannot be changed: the position is recorded in the sink"
        )
    if not settings:
        raise BadInput("nothing to update: give at least one option, or --config FILE")
    request = pb.UpdateChangefeedRequest(
        name=name, source=settings.get("source"), sink=settings.get("sink"), options=_options(settings)
    )
    if "filter" in settings:
        request.filter.rules.extend(settings["filter"])
        request.filter.SetInParent()
    render.changefeed(client.call("Update", request), as_json=client.json)


@changefeed.command()
@name_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@with_client
def remove(client: Client, name: str, yes: bool) -> None:
    """Remove a changefeed and its progress from the sink; user tables stay."""
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(
                f"removing changefeed {name} cannot be undone, and there is no terminal to ask on: confirm with --yes"
            )
        click.confirm(f"Remove changefeed {name} and its progress?", abort=True)
    client.call("Remove", pb.ChangefeedRequest(name=name))
    render.done({"name": name, "removed": True}, f"changefeed {name} is removed", as_json=client.json)


@changefeed.command("move-dispatcher")
@name_argument
@click.argument("dispatcher")
@click.argument("node", shell_complete=node_ids)
@with_client
def move_dispatcher(client: Client, name: str, dispatcher: str, node: str) -> None:
    """Ask the owner to move a table (db.table), and all tables linked to it by foreign keys, to another node."""
    request = pb.MoveDispatcherRequest(name=name, dispatcher=dispatcher, node=node)
    render.changefeed(client.call("MoveDispatcher", request), as_json=client.json)


def _settings(file: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    settings = _read_file(file) if file else {}
    given["filter"] = list(given.pop("filter_"))
    settings.update({key: value for key, value in given.items() if value not in (None, [])})
    return settings


def _read_file(file: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML: {error}") from None
    for key, value in settings.items():
        if key not in _FILE_KEYS:
            raise BadInput(f"{file}: {key} is not a setting of a changefeed; the settings are {', '.join(_FILE_KEYS)}")
        if not _fits(key, value):
            wanted = "a list of strings" if key == "filter" else "a number above 0" if key in _NUMBERS else "a string"
            raise BadInput(f"{file}: {key} = {value!r} is not {wanted}")
    return settings


def _fits(key: str, value: object) -> bool:
    if key == "filter":
        return isinstance(value, list) and all(isinstance(rule, str) for rule in value)
    if key in _NUMBERS:
        return type(value) is int and 0 < value < 2**31
    return isinstance(value, str)


def _options(settings: dict[str, Any]) -> model_pb2.ChangefeedOptions:
    consistency = settings.get("consistency")
    if consistency is not None and consistency not in _CONSISTENCY:
        raise BadInput(f"consistency is {consistency!r}; it must be {' or '.join(_CONSISTENCY)}")
    return model_pb2.ChangefeedOptions(
        consistency=_CONSISTENCY[consistency] if consistency else model_pb2.CONSISTENCY_UNSPECIFIED,
        lanes=settings.get("lanes", 0),
        batch_transactions=settings.get("batch_transactions", 0),
        batch_bytes=settings.get("batch_bytes", 0),
    )
