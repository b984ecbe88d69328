"""What ends one switch ends all below it, whenever they were made."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from hedgerow.dispatcher.sink.kill_switch import KillSwitch


def connection(raw: socket.socket) -> Any:
    return SimpleNamespace(_sock=raw)


def is_shut(raw: socket.socket) -> bool:
    raw.settimeout(5)
    return raw.recv(1) == b""


@pytest.mark.parametrize("late", [False, True])
def test_a_cut_reaches_every_connection_below(late: bool) -> None:
    node = KillSwitch()
    near, far = socket.socketpair()
    with near, far:
        if late:
            node.cut()
        node.below().below().attach(connection(near))
        node.cut()
        assert is_shut(far)


def test_an_end_is_heard_below_and_cuts_nothing() -> None:
    node = KillSwitch()
    stream = node.below()
    heard: list[bool] = []
    stream.watch(lambda: heard.append(stream.is_cut))
    node.end()
    assert (stream.is_ending, stream.is_cut) == (True, False)
    node.cut()
    assert heard == [False, True]
    late = stream.below()
    assert (late.is_ending, late.is_cut) == (True, True)


def test_what_happens_below_is_not_heard_above_nor_beside() -> None:
    node = KillSwitch()
    one, other = node.below(), node.below()
    one.cut()
    assert [node.is_ending, other.is_ending] == [False, False]


def test_who_has_left_is_forgotten() -> None:
    node = KillSwitch()
    stream = node.below()
    stream.leave()
    node.cut()
    assert not stream.is_ending


def test_a_watcher_may_wait_for_one_who_attaches() -> None:
    """A lane's thread attaches under the lane's lock, which who cuts the lane takes as well."""
    switch = KillSwitch()
    lock, near_far = threading.Lock(), socket.socketpair()
    holds, cutting = threading.Event(), threading.Event()

    def changed() -> None:
        cutting.set()
        with lock:
            pass

    def attach() -> None:
        with lock:
            holds.set()
            assert cutting.wait(5)
            switch.attach(connection(near_far[0]))

    switch.watch(changed)
    attaching = threading.Thread(target=attach)
    attaching.start()
    assert holds.wait(5)
    switch.cut()
    attaching.join(5)
    with near_far[0], near_far[1]:
        assert not attaching.is_alive()
        assert is_shut(near_far[1])
