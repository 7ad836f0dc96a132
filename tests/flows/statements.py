"""Reads the SQL in the source, and says of each statement whether it names one tenant.

A statement is cut into scopes: each SELECT, INSERT, UPDATE or DELETE without those inside it. In every
scope each tenant table must be held to `$1`: by `tenant_id = $1` in the WHERE, by equality with the
`tenant_id` of a table that is, or as the first value that is inserted.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from kernel.structs import Value

Token: TypeAlias = "str | Tokens"
Tokens: TypeAlias = "tuple[Token, ...]"  # one inside is a pair of parentheses

PACKAGES = "kernel billing promotions subscriptions refunds notifications webhooks api".split()
CALLS = frozenset("fetch fetchrow fetchval execute executemany cursor prepare".split())
VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"})
AFTER_WHERE = frozenset("GROUP ORDER LIMIT OFFSET FOR RETURNING HAVING WINDOW UNION EXCEPT INTERSECT".split())
AFTER_FROM = AFTER_WHERE | {"WHERE", "SET", "ON"}
JOINING = frozenset("JOIN LEFT RIGHT FULL INNER CROSS NATURAL LATERAL".split())
KEYWORDS = VERBS | AFTER_FROM | JOINING | frozenset("FROM USING INTO VALUES AND OR DO AS ONLY".split())
TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.]*|\$\d+|\d+|[^\s\w]")
COMMENT = re.compile(r"--[^\n]*")


class Statement(Value, frozen=True, kw_only=True):
    """SQL as it stands in a file; `sql` is None where it is put together, `first` what goes in for $1."""

    where: str
    sql: str | None
    first: str


def statements_of(root: Path, packages: Iterable[str] = PACKAGES) -> list[Statement]:
    return [
        statement
        for package in packages
        for file in sorted((root / package).rglob("*.py"))
        for statement in statements_in(file.read_text("utf-8"), str(file.relative_to(root)))
    ]


def statements_in(source: str, file: str) -> Iterator[Statement]:
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and call.args and _runs_sql(call.func):
                    sql, *values = call.args
                    yield Statement(
                        where=f"{file}: {function.name}",
                        sql=sql.value
                        if isinstance(sql, ast.Constant) and isinstance(sql.value, str)
                        else None,
                        first=ast.unparse(values[0]) if values else "",
                    )


def _runs_sql(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in CALLS


# ── One statement ────────────────────────────────────────────────────────────────────────────────


def objections(sql: str, tables: frozenset[str]) -> list[str]:
    """What is wrong with it; nothing when it names one tenant, or no tenant table."""
    return [objection for scope in _scopes(_tokens(sql)) for objection in _objections(scope, tables)]


def tables_in(sql: str, tables: frozenset[str]) -> set[str]:
    """The tenant tables it reads or changes."""
    named = [{_inserted(scope), *_references(scope, tables).values()} for scope in _scopes(_tokens(sql))]
    return set().union(*named) & tables


def _tokens(sql: str) -> Tokens:
    words = iter(TOKEN.findall(COMMENT.sub("", sql)))

    def group() -> Tokens:
        found: list[Token] = []
        for word in words:
            if word == ")":
                break
            if word == "(":
                found.append(group())
            else:
                found.append(word.upper() if word.upper() in KEYWORDS else word)
        return tuple(found)

    return group()


def _scopes(tokens: Tokens) -> Iterator[Tokens]:
    """The scope itself, cut at set operations, and those inside its parentheses."""
    for inner in tokens:
        if isinstance(inner, tuple):
            yield from _scopes(inner)
    if tokens and tokens[0] in VERBS:
        yield from _cut(_after_with(tokens), at={"UNION", "EXCEPT", "INTERSECT"})


def _after_with(tokens: Tokens) -> Tokens:
    """The statement itself: what WITH names stands in parentheses, each a scope of its own."""
    begins = next((n for n, token in enumerate(tokens) if token in VERBS - {"WITH"}), 0)
    return tokens[begins:]


def _objections(scope: Tokens, tables: frozenset[str]) -> Iterator[str]:
    inserted = _inserted(scope)
    if inserted in tables and not _inserts_tenant(scope):
        yield f"does not insert $1 as tenant_id into {inserted}"
    references = _references(scope, tables)
    held = _held(scope, references)
    for alias, table in references.items():
        if alias not in held:
            yield f"does not hold {table} to one tenant"


def _inserted(scope: Tokens) -> str:
    words = [token for token in scope if isinstance(token, str)]
    return next((b for a, b in pairwise(words) if a == "INTO"), "")


def _inserts_tenant(scope: Tokens) -> bool:
    """`INSERT INTO t [AS a] (tenant_id, …) VALUES ($1, …)` or `SELECT $1, …`."""
    groups = [token for token in scope if isinstance(token, tuple)]
    columns = groups[0] if groups else ()
    for position, token in enumerate(scope):
        if token == "VALUES":
            rows = [group for group in scope[position + 1 :] if isinstance(group, tuple)]
            return columns[:1] == ("tenant_id",) and bool(rows) and rows[0][:1] == ("$1",)
        if token == "SELECT":
            return columns[:1] == ("tenant_id",) and scope[position + 1 : position + 2] == ("$1",)
    return False


def _references(scope: Tokens, tables: frozenset[str]) -> dict[str, str]:
    """What is read or changed in this scope: alias → tenant table."""
    found: dict[str, str] = {}
    listing = False  # between FROM and WHERE a comma is another table
    for position, token in enumerate(scope):
        introduces = _introduces(token, after=scope[position - 1] if position else "")
        if introduces or token in AFTER_FROM | JOINING:
            listing = token in ("FROM", "USING")
        if introduces or (listing and token == ","):
            alias, table = _named(scope[position + 1 :])
            if table in tables:
                found[alias] = table
    return found


def _introduces(token: Token, *, after: Token) -> bool:
    """FOR UPDATE and DO UPDATE name no table."""
    return token in ("FROM", "JOIN", "USING") or (token == "UPDATE" and after not in ("FOR", "DO"))


def _named(tokens: Tokens) -> tuple[str, str]:
    words = [token for token in tokens[:4] if isinstance(token, str) and token not in ("ONLY", "AS")]
    if not words or not isinstance(tokens[0], str):
        return "", ""
    table = words[0]
    alias = words[1] if len(words) > 1 else ""
    is_alias = re.fullmatch(r"[a-z_]\w*", alias) is not None
    return (alias if is_alias else table), table


def _held(scope: Tokens, references: dict[str, str]) -> set[str]:
    """The aliases that are held to $1, by themselves or by what they are joined to."""
    held: set[str] = set()
    pairs: list[tuple[str, str]] = []
    for conjunct in _conjuncts(scope):
        match conjunct:
            case (str(column), "=", "$1"):
                held |= _aliases(column, references)
            case (str(left), "=", str(right)) if left.endswith(".tenant_id") and right.endswith(".tenant_id"):
                pairs.append((left.partition(".")[0], right.partition(".")[0]))
    for _ in pairs:
        for left, right in pairs:
            if {left, right} & held:
                held |= {left, right}
    return held


def _aliases(column: str, references: dict[str, str]) -> set[str]:
    """Unqualified it can only mean one table, or PostgreSQL would refuse it."""
    if column == "tenant_id":
        return set(references) if len(references) == 1 else set()
    return {column.removesuffix(".tenant_id")} if column.endswith(".tenant_id") else set()


def _conjuncts(scope: Tokens) -> Iterator[Tokens]:
    """What must all be true: of WHERE and of each ON. A bare OR makes the whole clause worth nothing."""
    for clause in _clauses(scope):
        if "OR" not in clause:
            yield from _cut(clause, at={"AND"})


def _clauses(scope: Tokens) -> list[list[Token]]:
    clauses: list[list[Token]] = []
    inside = False
    for token in scope:
        if token in AFTER_FROM | JOINING:
            inside = token in ("WHERE", "ON")
            if inside:
                clauses.append([])
        elif inside:
            clauses[-1].append(token)
    return clauses


def _cut(tokens: Sequence[Token], *, at: set[str]) -> Iterator[Tokens]:
    part: list[Token] = []
    for token in tokens:
        if token in at:
            yield tuple(part)
            part = []
        else:
            part.append(token)
    yield tuple(part)
