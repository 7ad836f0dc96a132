"""Crediting a customer on no invoice: lines of its own, books of its own, balance or a promise."""

from typing import TypedDict, Unpack

import pytest

from billing.credit_notes import store
from billing.credit_notes.model import (
    Modality,
    NewNoteLine,
    Reason,
    Status,
)
from billing.documents import page
from billing.parties import store as parties
from billing.parties.model import Customer, RefundMode, VatDue
from billing.payments.model import OutsideMeans
from billing.settlement import store as settlements
from billing.settlement.apply import apply_note
from billing.settlement.balance import balance_of
from billing.settlement.dissociate import take_back
from billing.settlement.mark_used import mark_used
from billing.settlement.model import NewDissociation, NewUse
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NET_OF_TAX, NewTaxRate, TaxBehavior
from kernel.database import Tx
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.errors import DomainError, Invalid
from kernel.money import Currency
from kernel.paging import Window
from kernel.text import Name, Note, Reference
from refunds.credit_customer import credit_customer_and_record
from refunds.model import GivenBack, NewCustomerCredit, NewManualRefund
from refunds.record_refund import record_refund
from subscriptions.model import PriceModel
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, a_line, euros
from tests.shop import REVERSED, a_shop, a_shop_by_hand, an_issued_invoice, another_customer
from tests.subscriptions.plans import a_plan, a_price


class Fields(TypedDict, total=False):
    reason: Reason
    reason_text: str | None
    tax_behavior: TaxBehavior
    net_of_tax: bool
    refund: RefundMode
    modality: Modality
    currency: Currency
    already_refunded: list[NewManualRefund]


def free(price: str, quantity: str = "1", *, tax_rate: str | None = None) -> NewNoteLine:
    return NewNoteLine(
        description=Name("Goodwill"),
        unit_price=UnitPrice.parse(price),
        quantity=Quantity.parse(quantity),
        tax_rate=tax_rate,
    )


async def credited(tx: Tx, customer: Customer, *lines: NewNoteLine, **fields: Unpack[Fields]) -> GivenBack:
    request = NewCustomerCredit(
        customer=str(customer.id),
        lines=list(lines) or [free("100.00")],
        **{"reason": Reason.COMMERCIAL_GESTURE, "currency": EUR, **fields},  # type: ignore[arg-type]
    )
    return await credit_customer_and_record(tx, request)


async def test_a_note_on_no_invoice_is_balance(tx: Tx) -> None:
    """Three of 33.33 at 20 %, and one of 50.00 at 5.5 %."""
    customer = await a_shop(tx)
    await add_tax_rate(
        tx, NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA"), rate=Rate.parse("5.5"))
    )

    back = await credited(tx, customer, free("33.33", "3"), free("50.00", tax_rate="vat-5.5"))

    note = back.credit_note
    assert (note.net, note.tax, note.total) == (euros(149_99), euros(22_75), euros(172_74))
    assert (note.invoice_id, note.sources, note.rebate, note.number) == (None, (), None, "A2026-000001")
    assert (note.settlement.left, note.settlement.status) == (note.total, Status.UNUSED)
    assert [line.unit_price for line in note.lines] == [UnitPrice("33.33"), UnitPrice("50.00")]
    assert await store.get(tx, note.id) == note
    assert (await balance_of(tx, str(customer.id))).amounts == [euros(172_74)]
    assert await accounts_of(tx) == {"706": 149_99, "4458": 22_75, "411": -172_74}
    await assert_sound(tx)


@pytest.mark.parametrize(
    ("reason", "account"), [(Reason.REBATE, "709"), (Reason.EARLY_PAYMENT, "665"), (Reason.FRAUD, "706")]
)
async def test_the_reason_says_which_account(tx: Tx, reason: Reason, account: str) -> None:
    await credited(tx, await a_shop(tx, vat_due=VatDue.ON_INVOICE), reason=reason)

    assert await accounts_of(tx) == {account: 100_00, "44571": 20_00, "411": -120_00}
    await assert_sound(tx)


async def test_its_vat_is_no_longer_due_as_far_as_it_is_applied(tx: Tx) -> None:
    """36.00 of 120.00 on another invoice: there they are a receipt, here 6.00 of VAT go back."""
    customer = await a_shop_by_hand(tx)
    note = (await credited(tx, customer)).credit_note
    invoice = await an_issued_invoice(tx, customer, [a_line(price="30.00")])

    used, _ = await apply_note(tx, note, invoice, euros(36_00))

    assert (used.settlement.applied, used.settlement.status) == (euros(36_00), Status.PARTLY_USED)
    assert await accounts_of(tx) == {"706": 70_00, "4458": 14_00, "411": -84_00}
    await assert_sound(tx)


async def test_what_is_marked_used_or_taken_back_moves_its_vat_too(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = (await credited(tx, customer)).credit_note
    invoice = await an_issued_invoice(tx, customer, [a_line(price="30.00")])
    note, _ = await apply_note(tx, note, invoice, euros(36_00))

    [edge] = (
        await settlements.page(tx, Window(), invoice_id=invoice.id, credit_note_id=None, payment_id=None)
    ).data
    await take_back(tx, edge.id, NewDissociation(amount=euros(30_00)))
    await assert_sound(tx)
    assert (await accounts_of(tx)).get("44571") is None

    used = await mark_used(tx, note.id, NewUse(amount=euros(54_00), reason=Note("Paid in kind")))
    assert used.settlement.used == euros(60_00)
    assert (await accounts_of(tx))["44571"] == 10_00 - 1_00
    await assert_sound(tx)


async def test_what_goes_back_by_hand_is_promised_and_its_vat_goes_with_it(tx: Tx) -> None:
    customer = await a_shop(tx)

    back = await credited(tx, customer, refund=RefundMode.MANUAL)
    assert (back.to_refund_by_hand, back.refunds) == (euros(120_00), ())
    assert (back.credit_note.settlement.promised, back.credit_note.modality) == (
        euros(120_00),
        Modality.TRANSFER,
    )
    assert await store.get(tx, back.credit_note.id) == back.credit_note
    await assert_sound(tx)

    for minor in (33_33, None):
        amount = None if minor is None else euros(minor)
        request = NewManualRefund(means=OutsideMeans.TRANSFER, amount=amount)
        await record_refund(tx, back.credit_note.id, request)
        await assert_sound(tx)
    assert await accounts_of(tx) == {"706": 100_00, "44571": 20_00, "512": -120_00}


async def test_what_had_gone_back_before_is_recorded_with_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    gone = [NewManualRefund(means=OutsideMeans.CASH, amount=euros(20_00))]

    back = await credited(tx, customer, refund=RefundMode.MANUAL, already_refunded=gone)

    assert (back.to_refund_by_hand, [each.amount for each in back.refunds]) == (euros(100_00), [euros(20_00)])
    await assert_sound(tx)
    with pytest.raises(Invalid, match="manual"):
        await credited(tx, customer, already_refunded=gone)


async def test_a_line_of_the_catalogue_is_what_it_costs(tx: Tx) -> None:
    customer = await a_shop(tx)
    await a_plan(tx, "pro", a_price("29.00"))
    await a_plan(tx, "seats", a_price("4.50", model=PriceModel.PER_UNIT))

    back = await credited(
        tx,
        customer,
        NewNoteLine(item=Reference("pro")),
        NewNoteLine(item=Reference("seats"), quantity=Quantity(3), description=Name("Unused seats")),
        NewNoteLine(item=Reference("pro"), unit_price=UnitPrice.parse("1.00")),
    )

    first, second, third = back.credit_note.lines
    assert [line.net.minor for line in back.credit_note.lines] == [29_00, 13_50, 1_00]
    assert (first.description, second.description, third.description) == ("Pro", "Unused seats", "Pro")
    assert [line.item for line in (first, second, third)] == ["pro", "seats", "pro"]
    await assert_sound(tx)


async def test_with_gross_prices_the_vat_is_in_the_lines(tx: Tx) -> None:
    back = await credited(tx, await a_shop(tx), free("93.28"), tax_behavior=TaxBehavior.INCLUSIVE)

    note = back.credit_note
    assert (note.net, note.tax, note.lines[0].included_tax) == (euros(77_73), euros(15_55), euros(15_55))
    await assert_sound(tx)


async def test_net_of_tax_there_is_no_vat_on_it(tx: Tx) -> None:
    note = (await credited(tx, await a_shop(tx), net_of_tax=True)).credit_note

    assert (note.tax, note.total, note.taxes[0].group) == (euros(0), euros(100_00), NET_OF_TAX)
    assert await accounts_of(tx) == {"706": 100_00, "411": -100_00}
    await assert_sound(tx)


async def test_who_is_charged_no_vat_is_credited_none(tx: Tx) -> None:
    await a_shop(tx)
    await add_tax_rate(tx, REVERSED)
    buyer = await another_customer(tx, vat_number="FR83404833048")
    rate = (await parties.customer(tx, "user-43")).tax_rate_id
    assert rate is None

    back = await credited(tx, buyer, free("10.00", tax_rate="reverse"))

    assert back.credit_note.total == euros(10_00)


@pytest.mark.parametrize(
    ("line", "fields", "code"),
    [
        (free("1.00"), {"refund": RefundMode.AUTOMATIC}, "refund_without_payment"),
        (free("1.00"), {"refund": RefundMode.DEFERRED}, "refund_without_payment"),
        (free("1.00"), {"reason": Reason.OTHER}, "reason_text_required"),
        (free("0.00"), {}, "credit_not_positive"),
        (NewNoteLine(description=Name("x")), {}, "credit_line_incomplete"),
        (NewNoteLine(item=Reference("nothing")), {}, "plan_not_found"),
        (NewNoteLine(item=Reference("pro")), {"currency": Currency("USD")}, "price_missing"),
        (free("1.00"), {"currency": Currency("USD")}, "exchange_rate_missing"),
        (
            free("1.00"),
            {"net_of_tax": True, "tax_behavior": TaxBehavior.INCLUSIVE},
            "net_of_tax_gross_prices",
        ),
        (free("1.00"), {"modality": Modality.TRANSFER}, "modality_contradicted"),
        (
            free("1.00"),
            {"modality": Modality.DEDUCTION, "refund": RefundMode.MANUAL},
            "modality_contradicted",
        ),
    ],
)
async def test_what_cannot_be_credited_is_refused(
    tx: Tx, line: NewNoteLine, fields: Fields, code: str
) -> None:
    customer = await a_shop(tx)
    await a_plan(tx, "pro", a_price("29.00"))

    with pytest.raises(DomainError) as refused:
        await credited(tx, customer, line, **fields)

    assert refused.value.code == code
    assert await accounts_of(tx) == {}


@pytest.mark.parametrize(
    ("refund", "modality", "label"),
    [
        (RefundMode.NONE, None, "Imputation sur factures"),
        (RefundMode.NONE, Modality.VOUCHER, "Bon d’achat"),
        (RefundMode.MANUAL, None, "Remboursement par virement"),
        (RefundMode.MANUAL, Modality.CARD, "Remboursement par carte bancaire"),
    ],
)
async def test_its_page_says_how_it_is_given_back(
    tx: Tx, refund: RefundMode, modality: Modality | None, label: str
) -> None:
    customer = await a_shop(tx)
    fields: Fields = {"refund": refund}
    if modality:
        fields["modality"] = modality

    printed = page.of_credit_note((await credited(tx, customer, **fields)).credit_note)

    assert printed.payment_label == label
    assert [fact.label for fact in printed.facts] == ["Date d’émission", "Motif", "Devise"]
    assert printed.columns == ["Désignation", "Quantité", "Prix unit. HT", "TVA", "Montant HT crédité"]
