"""Error numbers of the servers, by what they mean to us. Both flavours use the same ones where both have them."""

from __future__ import annotations

from typing import Final

# The account was not let in: unknown, wrong password, locked, expired, another plugin, no right on its schema.
LOGIN_REFUSED: Final = frozenset({1044, 1045, 1698, 1862, 3118, 3955, 4151})
# An account that was let in lacks a grant: on a schema, table, column or routine, or a global privilege.
NO_PRIVILEGE: Final = 1227
NOT_GRANTED: Final = frozenset({1044, 1142, 1143, NO_PRIVILEGE, 1370})
