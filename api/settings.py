"""Configuration: environment variables only, all of them in one table."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

import msgspec

T = TypeVar("T")

LONGEST_ROLE_NAME = 63
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("json", "console")


class Misconfigured(Exception):
    """A variable is missing or cannot be read. The sentence names it and says what is expected."""


class Variable(msgspec.Struct, frozen=True):
    """One line of the table. Without a default it must be set."""

    name: str
    meaning: str
    default: str | None = None


VARIABLES = (
    Variable("DATABASE_URL", "PostgreSQL as the owner of the tables: it migrates"),
    Variable(
        "APP_DATABASE_URL",
        "PostgreSQL as the restricted role of the API and the workers",
        "the same database as the role ristourne_<database>, made by `ristourne migrate`",
    ),
    Variable("REDIS_URL", "Redis or Valkey: wakes the workers"),
    Variable("SECRET_KEY", "at least 32 bytes in hexadecimal: every other key derives from it"),
    Variable(
        "VAULT_KEYS",
        "32 bytes in hexadecimal each, comma-separated, newest first: they encrypt payment providers' keys",
        "a key that derives from SECRET_KEY, which is always the last of them",
    ),
    Variable("STRIPE_URL", "where Stripe is reached", "https://api.stripe.com"),
    Variable(
        "SMTP_URL",
        "where mail is handed over: smtp://[user:password@]host:port or smtps://",
        "smtp://127.0.0.1:25",
    ),
    Variable("MAIL_FROM", "the sender of mail", "Ristourne <billing@localhost>"),
    Variable(
        "BASE_URL",
        "how others reach this API: links in mails and documents",
        "http://127.0.0.1:8000",
    ),
    Variable("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR", "INFO"),
    Variable("LOG_FORMAT", "json or console", "json"),
    Variable("DATABASE_POOL_SIZE", "connections per process, 1 to 100", "8"),
)
DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one process was told when it started."""

    database_url: str
    app_database_url: str
    redis_url: str
    secret_key: bytes
    vault_keys: tuple[bytes, ...]
    stripe_url: str
    smtp_url: str
    mail_from: str
    base_url: str
    log_level: str
    log_format: str
    database_pool_size: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        database_url = _read(environ, "DATABASE_URL", _postgres_url)
        secret_key = _read(environ, "SECRET_KEY", _secret_key)
        return cls(
            database_url=database_url,
            app_database_url=(
                _read(environ, "APP_DATABASE_URL", _postgres_url)
                if environ.get("APP_DATABASE_URL")
                else app_database_url(database_url, secret_key)
            ),
            redis_url=_read(environ, "REDIS_URL", _url("redis", "rediss", "unix")),
            secret_key=secret_key,
            vault_keys=(_read(environ, "VAULT_KEYS", _vault_keys) if environ.get("VAULT_KEYS") else ()),
            stripe_url=_read(environ, "STRIPE_URL", _url("http", "https")).rstrip("/"),
            smtp_url=_read(environ, "SMTP_URL", _url("smtp", "smtps")),
            mail_from=_read(environ, "MAIL_FROM", _mailbox),
            base_url=_read(environ, "BASE_URL", _url("http", "https")).rstrip("/"),
            log_level=_read(environ, "LOG_LEVEL", _one_of(LOG_LEVELS)),
            log_format=_read(environ, "LOG_FORMAT", _one_of(LOG_FORMATS)),
            database_pool_size=_read(environ, "DATABASE_POOL_SIZE", _size),
        )

    def subkey(self, purpose: str) -> bytes:
        """A key of 32 bytes for one use: leaking it tells nothing of the others."""
        return subkey(self.secret_key, purpose)

    def __repr__(self) -> str:
        return f"Settings(base_url={self.base_url!r})"  # the rest holds secrets


def subkey(secret_key: bytes, purpose: str) -> bytes:
    return hmac.digest(secret_key, purpose.encode(), hashlib.sha256)


def app_database_url(owner_url: str, secret_key: bytes) -> str:
    """The same server and database, as the restricted role that `migrate` makes for it."""
    database = database_of(owner_url)
    password = subkey(secret_key, f"database role {database}").hex()
    return as_role(owner_url, app_role(database), password)


def app_role(database: str) -> str:
    """The login role of one database. A cluster shares its roles, so this one carries a name."""
    role = f"ristourne_{database}"
    if len(role.encode()) > LONGEST_ROLE_NAME:
        raise Misconfigured(
            f"The database name {database!r} is too long to name a role by; set APP_DATABASE_URL."
        )
    return role


def database_of(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/"))


def role_of(url: str) -> str:
    return unquote(urlsplit(url).netloc.rpartition("@")[0].partition(":")[0])


def password_of(url: str) -> str:
    return unquote(urlsplit(url).netloc.rpartition("@")[0].partition(":")[2])


def as_role(url: str, role: str, password: str) -> str:
    # The text after the @ may name several hosts or none; it is kept as it was written.
    scheme, _, rest = url.partition("://")
    authority = urlsplit(url).netloc
    hosts = authority.rpartition("@")[2]
    credentials = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{credentials}@{hosts}{rest.removeprefix(authority)}"


# ── reading one value: a ValueError says what is expected ────────────────────────────────────────


def _read(environ: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T:
    raw = environ.get(name) or DEFAULTS[name]
    if raw is None:
        raise Misconfigured(f"{name} is not set: {_meaning(name)}.")
    try:
        return parse(raw.strip())
    except ValueError as error:
        # The value stays out of the sentence: it may hold a password.
        raise Misconfigured(f"{name} cannot be used: {error}.") from None


def _meaning(name: str) -> str:
    return next(variable.meaning for variable in VARIABLES if variable.name == name)


def _postgres_url(raw: str) -> str:
    expected = "expected postgresql://user:password@host:port/database"
    if _scheme(raw, expected) not in ("postgresql", "postgres"):
        raise ValueError(expected)
    if not database_of(raw) or not role_of(raw):
        raise ValueError(expected)
    return raw


def _url(*schemes: str) -> Callable[[str], str]:
    expected = f"expected an address that starts with {' or '.join(schemes)}://"

    def parse(raw: str) -> str:
        scheme = _scheme(raw, expected)
        if scheme not in schemes:
            raise ValueError(expected)
        if scheme != "unix" and not _has_host(raw):
            raise ValueError("expected a host, and a port that is a number")
        return raw

    return parse


def _scheme(raw: str, expected: str) -> str:
    try:
        return urlsplit(raw).scheme
    except ValueError:  # its own sentence would repeat the address, password included
        raise ValueError(expected) from None


def _has_host(raw: str) -> bool:
    parts = urlsplit(raw)
    try:
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _secret_key(raw: str) -> bytes:
    expected = "expected at least 32 bytes in hexadecimal, as from `openssl rand -hex 32`"
    if not re.fullmatch(r"([0-9a-fA-F]{2}){32,}", raw):
        raise ValueError(expected)
    return bytes.fromhex(raw)


def _vault_keys(raw: str) -> tuple[bytes, ...]:
    keys = [key.strip() for key in raw.split(",")]
    if not all(re.fullmatch(r"([0-9a-fA-F]{2}){32}", key) for key in keys):
        raise ValueError("expected keys of 32 bytes in hexadecimal, separated by commas, newest first")
    return tuple(bytes.fromhex(key) for key in keys)


def _mailbox(raw: str) -> str:
    if "@" not in raw or not raw.isprintable():
        raise ValueError("expected an address, or a name and <an address>")
    return raw


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        for value in allowed:
            if raw.lower() == value.lower():
                return value
        raise ValueError(f"expected one of {', '.join(allowed)}")

    return parse


def _size(raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and 1 <= int(raw) <= 100):
        raise ValueError("expected a whole number from 1 to 100")
    return int(raw)
