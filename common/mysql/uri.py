"""Where a MySQL or MariaDB server is and who we are there, with the secret kept outside.

    mysql://user@host:3306/?password_file=/run/secrets/source
    mysql://user@host:3306/?password_env=HEDGEROW_SECRET_SOURCE&ssl_ca=/etc/ssl/certs/db.pem

A URI is stored in etcd, printed and logged, so it never holds a password: it names a file or an environment variable,
which is read again at every connect (so a rotated secret is picked up). Both must exist on every node, where
common.mysql.connect.secrets allows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hedgerow.common.errors import BadInput, SecretUnreadable
from hedgerow.common.mysql.secrets import readable_file, readable_variable

EXAMPLE: Final = "mysql://repl@db1.example.com:3306/?password_file=/run/secrets/db1"
SSL_MODES: Final = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
OPTIONS: Final = (
    *("password_file", "password_env", "ssl_mode", "ssl_ca", "ssl_cert", "ssl_key"),
    "server_public_key",  # MySQL's client: --server-public-key-path
)
PATHS: Final = ("password_file", "ssl_ca", "ssl_cert", "ssl_key", "server_public_key")

_USERINFO = re.compile(r"^([^:/@]*://|//)?([^:/@]*?)(?::(?!//)|%3A).*@", re.DOTALL | re.IGNORECASE)
_PASSWORD_OPTION = re.compile(r"\b(pass(?:word|wd)?|pwd|secret|token)=[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerUri:
    """A parsed URI; `str` gives its canonical form, which `parse` reads back to an equal value."""

    host: str
    port: int
    user: str
    password_file: str = ""
    password_env: str = ""
    ssl_mode: str = ""
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    server_public_key: str = ""

    @classmethod
    def parse(cls, text: str) -> ServerUri:
        """Read a URI. Raises BadInput, whose message holds no secret even where the text did."""
        shown = redact(text)
        try:
            parts = urlsplit(text.strip())
            port = parts.port
            options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise _bad(shown, "cannot be read: its port or its options are malformed") from None
        if parts.scheme != "mysql":
            raise _bad(
                shown, "does not begin with mysql:// (MariaDB servers too; the flavour is asked from the server)"
            )
        if parts.password is not None or ":" in unquote(parts.netloc.rpartition("@")[0]):
            raise BadInput(
                f"{shown!r} holds a password, which would end up in etcd and in process lists. Write it to a file and "
                f"add ?password_file=/path/to/it, or put it into an environment variable of every node and add "
                f"?password_env=NAME. Example: {EXAMPLE}"
            )
        if not parts.username:
            raise _bad(shown, "names no user")
        if not parts.hostname:
            raise _bad(shown, "names no host")
        if port == 0:
            raise _bad(shown, "has port 0")
        if parts.path not in ("", "/") or parts.fragment:
            raise _bad(shown, "has something after host:port (schemas are chosen with --filter 'schema.*')")
        return cls(parts.hostname, port or 3306, unquote(parts.username), **_read_options(shown, options))

    def __str__(self) -> str:
        options = [f"{name}={quote(value, safe='/')}" for name in OPTIONS if (value := str(getattr(self, name)))]
        query = "/?" + "&".join(options) if options else "/"
        return f"mysql://{quote(self.user, safe='')}@{self.address}{query}"

    @property
    def address(self) -> str:
        """host:port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def encryption(self) -> str:
        """One of SSL_MODES (the mysql client's --ssl-mode). Without ssl options: `preferred`, off on loopback."""
        if self.ssl_mode:
            return self.ssl_mode
        if self.ssl_ca:
            return "verify_identity"
        if self.ssl_cert:
            return "required"
        return "disabled" if _is_loopback(self.host) else "preferred"

    @property
    def password_from(self) -> str:
        """Where the password comes from, for messages."""
        if self.password_file:
            return f"from file {self.password_file}"
        return f"from environment variable {self.password_env}" if self.password_env else "empty: the URI names none"

    def password(self) -> str:
        """Read the secret; empty where the URI names none. Raises SecretUnreadable."""
        if self.password_env:
            value = readable_variable(self.password_env)
            if value is None:
                raise SecretUnreadable(
                    f"environment variable {self.password_env}, which should hold the password of {self.user}@"
                    f"{self.address}, is not set in this process. Set it on every node, or use ?password_file=/path"
                )
            return value
        if not self.password_file:
            return ""
        file = readable_file("password_file", self.password_file)
        try:
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretUnreadable(
                f"password file {self.password_file} of {self.user}@{self.address} cannot be read: {reason}. "
                "It must exist on every node and be readable by the user that runs hedgerow"
            ) from None
        if not value:
            raise SecretUnreadable(f"password file {self.password_file} of {self.user}@{self.address} is empty")
        return value


def redact(text: str) -> str:
    """The text with everything blotted out that may be a password."""
    return _PASSWORD_OPTION.sub(r"\1=***", _USERINFO.sub(r"\1\2:***@", text.strip()))


def _read_options(shown: str, options: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in options:
        if name in ("password", "passwd", "pwd"):
            raise _bad(shown, "holds a password; use ?password_file=/path/to/it or ?password_env=NAME instead")
        if name not in OPTIONS:
            raise _bad(shown, f"has the unknown option {name!r} (known: {', '.join(OPTIONS)})")
        if name in found:
            raise _bad(shown, f"has the option {name} twice")
        if not value:
            raise _bad(shown, f"has the option {name} without a value")
        if name in PATHS and not value.startswith("/"):
            raise _bad(shown, f"has {name} with a relative path; every node must find it: give an absolute one")
        found[name] = value
    if "password_file" in found and "password_env" in found:
        raise _bad(shown, "has both password_file and password_env: keep one")
    mode = found.get("ssl_mode", "")
    if mode and mode not in SSL_MODES:
        raise _bad(shown, f"has ssl_mode {mode!r} (known: {', '.join(SSL_MODES)})")
    if mode in ("disabled", "preferred") and any(name in found for name in ("ssl_ca", "ssl_cert", "ssl_key")):
        raise _bad(shown, f"has certificates and ssl_mode={mode}, which would not use them")
    if mode.startswith("verify") and "ssl_ca" not in found:
        raise _bad(shown, f"has ssl_mode={mode} without ssl_ca")
    if "ssl_key" in found and "ssl_cert" not in found:
        raise _bad(shown, "has ssl_key without ssl_cert")
    return found


def _bad(shown: str, why: str) -> BadInput:
    return BadInput(f"server URI {shown!r} {why}. Example: {EXAMPLE}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
