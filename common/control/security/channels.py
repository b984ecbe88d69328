"""Channels whose certificate and authorities follow their files.

gRPC fixes a channel's credentials when it is made. So a `RenewedChannel` makes a new one when the files have changed:
calls begin on the newest, those under way end on the one they began on, which is closed when the last of them has.
Stubs made of it once stay good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc

from hedgerow.common.control.security.tls import Material, TlsFiles, TlsSource, channel_credentials
from hedgerow.common.errors import BadInput

_MAX_TOKEN: Final = 8 * 1024


class _Generation:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.calls = 0
        self.retired = False
        self._closing: asyncio.Task[None] | None = None

    def track(self, call: Any) -> None:
        self.calls += 1
        call.add_done_callback(self._done)

    def retire(self) -> None:
        self.retired = True
        self._close_if_idle()

    def _done(self, _: Any) -> None:
        self.calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self.retired and self.calls == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.channel.close(None))


class _MultiCallable:
    def __init__(self, owner: RenewedChannel, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._owner = owner
        self._kind = kind
        self._arguments = arguments
        self._options = options
        self._made: tuple[_Generation, Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        generation = self._owner.newest()
        if self._made is None or self._made[0] is not generation:
            made = getattr(generation.channel, self._kind)(*self._arguments, **self._options)
            self._made = generation, made
        call = self._made[1](*arguments, **options)
        generation.track(call)
        return call


class RenewedChannel(grpc.aio.Channel):
    """Used from one event loop."""

    def __init__(self, source: TlsSource, open_: Callable[[Material], grpc.aio.Channel]) -> None:
        self._source = source
        self._open = open_
        self._material = source.material()
        self._generation = _Generation(open_(self._material))
        self._former: list[_Generation] = []

    def newest(self) -> _Generation:
        material = self._source.material()
        if material is not self._material:
            former, self._material = self._generation, material
            self._generation = _Generation(self._open(material))
            self._former = [one for one in self._former if one.calls] + [former]
            former.retire()
        return self._generation

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return _MultiCallable(self, "unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        return _MultiCallable(self, "unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        return _MultiCallable(self, "stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        return _MultiCallable(self, "stream_stream", arguments, options)

    async def close(self, grace: float | None = None) -> None:
        generations = [*self._former, self._generation]
        await asyncio.gather(*(one.channel.close(grace) for one in generations))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self.newest().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.newest().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.newest().channel.channel_ready()

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.close()


def client_credentials(files: TlsFiles, token_file: Path | None) -> grpc.ChannelCredentials:
    """For one command: TLS, and with a token file its token on every call. Raises BadInput."""
    credentials = channel_credentials(files.read())
    if token_file is None:
        return credentials
    return grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(read_token(token_file)))


def read_token(path: Path) -> str:
    """Raises BadInput, which never shows it."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise BadInput(f"cannot read token_file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        token = ""
    if not token or len(token) > _MAX_TOKEN or any(char.isspace() or not char.isprintable() for char in token):
        raise BadInput(f"token_file {path} does not hold one token on one line")
    return token
