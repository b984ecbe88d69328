"""Names that users choose, ids that we make, and the keys in etcd that are built of them."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass

from hedgerow.common.errors import BadInput

_CHANGEFEED = re.compile(r"[a-z0-9][a-z0-9\-_.]{0,62}")


def changefeed_name(text: str) -> str:
    """The name, if it may be one. Raises BadInput."""
    if not _CHANGEFEED.fullmatch(text):
        raise BadInput(
            f"not a changefeed name: {text!r}; use 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a-z or 0-9"
        )
    return text


def new_changefeed_uid() -> str:
    """A changefeed's uid: new on every create, so that a name can be used again."""
    return str(uuid.uuid4())


def new_node_id(name: str) -> str:
    """A node's id: its name and 8 hexadecimal digits that are new at every start."""
    return f"{name}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one cluster in etcd."""

    cluster: str

    @property
    def root(self) -> str:
        return f"/hedgerow/{self.cluster}/"

    @property
    def election(self) -> str:
        return f"{self.root}election/"

    @property
    def nodes(self) -> str:
        return f"{self.root}nodes/"

    def node(self, node: str) -> str:
        return f"{self.nodes}{node}"

    @property
    def changefeeds(self) -> str:
        return f"{self.root}changefeeds/"

    def changefeed(self, name: str) -> str:
        """What its three keys begin with."""
        return f"{self.changefeeds}{name}/"
