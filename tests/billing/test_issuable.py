"""What the law wants on a document: who lacks it is refused before anything is numbered."""

import pytest

from billing.invoices import draft as drafts
from billing.invoices import issuable, store
from billing.invoices.model import NewDraft, NewLine
from billing.parties.model import Buyer, Seller
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, GroupTax, TaxGroup
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate, UnitPrice
from kernel.errors import Conflict
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name
from tests.makers import NOON, a_customer, a_seller, an_address, vat
from tests.shop import REVERSED, a_shop, an_issued_invoice, another_customer

EURO, DOLLAR, YEN = Currency("EUR"), Currency("USD"), Currency("JPY")

KNOWN = a_customer(vat_number="FR83404833048").buyer
UNKNOWN = a_customer(vat_number=None).buyer

FRENCH = a_seller()
WITHOUT_NUMBER = a_seller(vat_number=None)
BRITISH = a_seller(address=an_address("1 High St", "E1 6AN", "London", "GB"), vat_number=Name("GB123456789"))
BULGARIAN = a_seller(address=an_address("1 Vitosha", "1000", "Sofia", "BG"), vat_number=Name("BG175074752"))
SWEDISH = a_seller(address=an_address("1 Storgatan", "111 23", "Stockholm", "SE"), vat_number=None)

SOLD = "S", 100_00
NOTHING_SOLD = "S", 0


def group(category: str, base: int, currency: Currency) -> GroupTax:
    """Of a rate above zero only where there can be one."""
    which = Category(category)
    rate = vat("20") if which is Category.STANDARD else TaxGroup(which, Rate(0), "a reason")
    tax = base // 5 if which is Category.STANDARD else 0
    return GroupTax(group=rate, base=Money(base, currency), tax=Money(tax, currency))


def code_of(
    seller: Seller, buyer: Buyer, groups: list[tuple[str, int]], currency: Currency = EURO
) -> str | None:
    try:
        issuable.check(seller, buyer, [group(*each, currency) for each in groups], currency)
    except Conflict as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize(
    ("seller", "buyer", "groups", "currency", "code"),
    [
        # VAT is charged: the seller's number is printed, the buyer's is not needed
        (FRENCH, UNKNOWN, [SOLD], EURO, None),
        (WITHOUT_NUMBER, KNOWN, [SOLD], EURO, "seller_vat_number_missing"),
        (WITHOUT_NUMBER, KNOWN, [NOTHING_SOLD], EURO, None),
        (WITHOUT_NUMBER, KNOWN, [], EURO, None),
        # the buyer owes it: both are
        *[(FRENCH, KNOWN, [(k, 100_00)], EURO, None) for k in ("AE", "K")],
        *[(FRENCH, UNKNOWN, [(k, 100_00)], EURO, "buyer_vat_number_missing") for k in ("AE", "K")],
        *[(FRENCH, UNKNOWN, [(k, 0)], EURO, None) for k in ("AE", "K")],
        *[(WITHOUT_NUMBER, KNOWN, [(k, 100_00)], EURO, "seller_vat_number_missing") for k in ("AE", "K")],
        (FRENCH, UNKNOWN, [SOLD, ("AE", 1)], EURO, "buyer_vat_number_missing"),
        (FRENCH, UNKNOWN, [SOLD, ("AE", 0)], EURO, None),
        # nobody owes any: neither is
        *[(WITHOUT_NUMBER, UNKNOWN, [(k, 100_00)], EURO, None) for k in ("G", "E", "O", "Z")],
        (WITHOUT_NUMBER, UNKNOWN, [("G", 100_00), SOLD], EURO, "seller_vat_number_missing"),
        # VAT is said in euro in the euro area, whoever buys
        (FRENCH, KNOWN, [SOLD], DOLLAR, "exchange_rate_missing"),
        (BULGARIAN, KNOWN, [SOLD], DOLLAR, "exchange_rate_missing"),
        (FRENCH, KNOWN, [("G", 100), SOLD], YEN, "exchange_rate_missing"),
        *[(FRENCH, KNOWN, [(k, 100_00)], DOLLAR, None) for k in ("AE", "K", "G", "E", "O", "Z")],
        (FRENCH, KNOWN, [NOTHING_SOLD], DOLLAR, None),
        (FRENCH, KNOWN, [("S", 2)], DOLLAR, None),  # of 0.02 it is 0.00
        (BRITISH, UNKNOWN, [SOLD], DOLLAR, None),
        (BRITISH, UNKNOWN, [SOLD], EURO, None),
        (SWEDISH, UNKNOWN, [("O", 100_00)], DOLLAR, None),
        # the number first: without it no rate would help
        (WITHOUT_NUMBER, KNOWN, [SOLD], DOLLAR, "seller_vat_number_missing"),
    ],
)
def test_a_document_is_issued_when_it_can_say_what_it_must(
    seller: Seller, buyer: Buyer, groups: list[tuple[str, int]], currency: Currency, code: str | None
) -> None:
    assert code_of(seller, buyer, groups, currency) == code


@pytest.mark.parametrize(
    ("currency", "tax_rate", "code"),
    [("EUR", "reverse", "buyer_vat_number_missing"), ("USD", "vat-20", "exchange_rate_missing")],
)
async def test_what_is_refused_takes_no_number_and_stays_a_draft(
    pool: Pool, tenant: TenantId, currency: str, tax_rate: str, code: str
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop(tx)
        await another_customer(tx)
        await add_tax_rate(tx, REVERSED)
        line = NewLine(description=Name("Conseil"), unit_price=UnitPrice.parse("100.00"), tax_rate=tax_rate)
        request = NewDraft(customer="user-43", currency=Currency(currency), lines=[line])
        draft = await drafts.draft_invoice(tx, request)

    with pytest.raises(Conflict) as refused:
        async with transaction(pool, tenant, now=NOON) as tx:
            await drafts.issue_draft(tx, draft.id)

    assert refused.value.code == code
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await store.get_draft(tx, draft.id) == draft
        assert [await count(tx, table) for table in ("invoices", "ledger_entries", "number_series")] == [
            0
        ] * 3
        assert (await an_issued_invoice(tx, customer)).number == "F2026-000001"


async def count(tx: Tx, table: str) -> int:
    return int(await tx.conn.fetchval(f"SELECT count(*) FROM {table}"))
