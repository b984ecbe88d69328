"""The command tree, and what a failure looks like: one message on standard error, an exit code, never a traceback."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version as installed_version

import click

from hedgerow.cli.changefeed import changefeed
from hedgerow.cli.node import node
from hedgerow.cli.sandbox import demo, playground
from hedgerow.cli.security import certificates, token
from hedgerow.common import errors

EXIT_CODES: tuple[tuple[type[errors.HedgerowError], int], ...] = (
    (errors.BadInput, 2),
    (errors.NotFound, 3),
    (errors.AlreadyExists, 4),
    (errors.IllegalTransition, 4),
    (errors.PreflightFailed, 5),
    (errors.Unavailable, 6),
    (errors.Unauthenticated, 7),
    (errors.Forbidden, 7),
    (errors.HedgerowError, 1),
)
EXIT_HELP = """\b
Exit codes:
  0  done
  1  failed; the message says why
  2  the command, its options or its input is invalid
  3  no such changefeed, node or dispatcher
  4  the name is taken, or the current state does not allow it
  5  preflight found problems with the source or the sink, or could not reach one of them
  6  a node or etcd cannot be reached
  7  the node does not recognise you, or you are not allowed to do this
"""


@click.group(epilog=EXIT_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(installed_version("hedgerow"), message="hedgerow %(version)s")
def cli() -> None:
    """Replicate MySQL and MariaDB binlogs, with fencing inside the sink's own transaction."""


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"hedgerow {installed_version('hedgerow')}")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    For bash: hedgerow completion bash > ~/.local/share/bash-completion/completions/hedgerow
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(cli, {}, "hedgerow", "_HEDGEROW_COMPLETE").source())


cli.add_command(changefeed)
cli.add_command(node)
cli.add_command(token)
cli.add_command(certificates)
cli.add_command(playground)
cli.add_command(demo)


def _check_text(argument: str) -> None:
    """Raises BadInput for what the locale could not read, which no message can carry."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise errors.BadInput(
            f"{argument!a} is not text in this terminal's encoding ({sys.getfilesystemencoding()}): set "
            "LC_ALL to a UTF-8 locale, such as C.UTF-8"
        ) from None


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):  # a name is shown, whatever the terminal's encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        for argument in arguments:
            _check_text(argument)
        result = cli.main(list(arguments), prog_name="hedgerow", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except errors.HedgerowError as error:
        click.echo(f"error: {error}", err=True)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        click.echo(
            f"error: a bug in hedgerow: {type(error).__name__}: {error} ({where.filename}:{where.lineno}); "
            "please report it with the command that triggered it",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0
