"""docs/promotions.md works word by word, and says all there is to say of offers."""

import ast
import re

import msgspec
import pytest

from promotions import model
from promotions.conditions import CONDITIONS
from promotions.engine import BUDGET_SPENT
from promotions.model import Conditions, NewOffer, Policy
from tests.docs.conftest import ROOT, Stack
from tests.docs.test_readme import BLOCK, MARK, blocks

TEXT = (ROOT / "docs" / "promotions.md").read_text()
SHOWN = BLOCK.findall(TEXT[TEXT.index(MARK) :])
PRINTED = re.compile(r"^#> (.*)$", re.MULTILINE)

# Said once an offer is in reach; conditions have a table of their own.
OTHER_REASONS = {
    BUDGET_SPENT,
    "offer_inactive",
    "offer_redeemed_before",
    "offer_identity_used",
    "coupon_invalid",
}


@pytest.fixture(scope="module")
def stack_output(stack: Stack) -> list[str]:
    """After the first block of the README, which the page asks for."""
    return stack.run("\n".join([blocks()[0], *SHOWN])).splitlines()


def test_every_line_prints_what_the_page_says(stack_output: list[str]) -> None:
    assert stack_output == PRINTED.findall("\n".join(SHOWN))


@pytest.mark.parametrize(
    "kind",
    [*model.Benefit.__args__, *model.Duration.__args__],
    ids=lambda kind: str(kind.__struct_config__.tag),
)
def test_every_benefit_and_duration_is_explained_and_run(kind: type[msgspec.Struct]) -> None:
    tag = kind.__struct_config__.tag
    assert f"**`{tag}`**" in TEXT
    assert any(f'"type": "{tag}"' in block for block in SHOWN)


@pytest.mark.parametrize("field", Conditions.__struct_fields__)
def test_every_condition_is_explained_and_run(field: str) -> None:
    assert f"**`{field}`**" in TEXT
    assert any(f'"conditions": {{"{field}":' in block for block in SHOWN)


@pytest.mark.parametrize("field", ["max_redemptions", "max_per_customer", "budget", "one_per_identity"])
def test_every_cap_is_explained(field: str) -> None:
    assert field in NewOffer.__struct_fields__
    assert f"**`{field}`**" in TEXT


@pytest.mark.parametrize("field", Policy.__struct_fields__)
def test_the_policy_is_explained_and_run(field: str) -> None:
    assert f"`{field}`" in TEXT
    assert any(f'"{field}":' in block for block in SHOWN)


def test_every_reason_is_explained_and_met() -> None:
    codes = reasons()
    table = TEXT[TEXT.index("## Reasons") :]
    assert set(re.findall(r"`((?:offer|coupon)_[a-z_]+)`", table)) == codes
    assert codes <= set(" ".join(PRINTED.findall("\n".join(SHOWN))).split())


def reasons() -> set[str]:
    said = {condition.code for condition in CONDITIONS} | OTHER_REASONS
    for name in ("engine", "conditions"):
        for node in ast.walk(ast.parse((ROOT / "promotions" / f"{name}.py").read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "refused":
                said |= {str(each.value) for each in node.args[1:2] if isinstance(each, ast.Constant)}
    return said
