"""Every code that a caller can meet stands in docs/problems.md, with its status and what to do."""

import ast
from collections.abc import Iterator
from pathlib import Path

from api import problems
from api.docs import CODE, PROBLEMS
from kernel.errors import Conflict, DomainError, Invalid, NotFound, TooMany, Unavailable
from promotions.conditions import CONDITIONS

ROOT = Path(__file__).parent.parent.parent
PACKAGES = "kernel billing promotions subscriptions refunds webhooks notifications api".split()
KINDS: dict[str, type[DomainError]] = {
    kind.__name__: kind for kind in (Invalid, NotFound, Conflict, TooMany, Unavailable)
}


def test_every_code_in_the_source_is_listed_with_its_status() -> None:
    listed = {code: int(status) for code, status, _ in CODE.findall(PROBLEMS.read_text())}
    raised = dict(codes_in_the_source())
    missing = [f"| `{code}` | {status} | … |" for code, status in raised.items() if code not in listed]
    assert not missing, "add to docs/problems.md:\n" + "\n".join(sorted(missing))
    assert {code: listed[code] for code in raised} == raised


def test_every_listed_code_is_in_the_source() -> None:
    listed = [code for code, _, _ in CODE.findall(PROBLEMS.read_text())]
    raised = dict(codes_in_the_source())
    assert sorted(set(listed) - raised.keys()) == []
    assert len(listed) == len(set(listed))


def codes_in_the_source() -> Iterator[tuple[str, int]]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    yield from code_of(node)
    yield from ((code, status) for status, code in problems.CODE_OF_STATUS.items())
    yield from ((code, 409) for code in ("offer_inactive", *(each.code for each in CONDITIONS)))
    yield from (("internal_error", 500), ("idempotency_in_progress", 409))


def code_of(call: ast.Call) -> Iterator[tuple[str, int]]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    first = call.args[0] if call.args else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return
    if name == "not_found":
        yield f"{first.value.replace(' ', '_')}_not_found", 404
    elif name in KINDS:
        status = problems.STATUS_OF_CODE.get(first.value) or problems.STATUS_OF_KIND[KINDS[name]]
        yield first.value, status
