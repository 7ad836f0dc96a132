"""A discount for early payment (escompte) is a financial cost, 665, and not less revenue."""

from msgspec.structs import replace

from billing.credit_notes.model import NewCreditNote, Reason
from billing.documents import page
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, Status
from billing.parties.model import RefundMode
from billing.tax.model import NET_OF_TAX
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.text import Name
from refunds.credit_invoice import credit_invoice
from refunds.model import GivenBack
from tests.books import accounts_of, assert_sound
from tests.makers import a_line, a_seller, an_invoice, euros
from tests.refunds.test_credit_customer import credited
from tests.shop import a_payment, a_shop, an_issued_invoice


async def discounted(
    tx: Tx, invoice: Invoice, *, net_of_tax: bool = False, refund: RefundMode = RefundMode.NONE
) -> GivenBack:
    """By 2 %."""
    request = NewCreditNote(
        reason=Reason.EARLY_PAYMENT, percent=Rate.parse("2"), net_of_tax=net_of_tax, refund=refund
    )
    return await credit_invoice(tx, invoice.id, request)


async def test_less_is_to_be_paid_and_the_cost_is_financial(tx: Tx) -> None:
    """2 % of 100.00 and 20.00 of VAT: 117.60 settles the invoice."""
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])

    note = (await discounted(tx, invoice)).credit_note
    await a_payment(tx, invoice, 117_60)

    assert (note.net, note.tax, note.lines[0].volume) == (euros(2_00), euros(40), euros(0))
    assert (await invoices.get(tx, invoice.id)).settlement.status is Status.SETTLED
    assert await accounts_of(tx) == {"706": -100_00, "665": 2_00, "44571": -19_60, "512": 117_60}
    await assert_sound(tx)


async def test_what_was_paid_whole_is_given_back_in_part(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])
    await a_payment(tx, invoice)

    back = await discounted(tx, invoice, refund=RefundMode.MANUAL)

    assert back.to_refund_by_hand == euros(2_40)
    assert (await accounts_of(tx))["665"] == 2_00
    await assert_sound(tx)


async def test_net_of_tax_the_vat_stays_as_it_was_invoiced(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])
    await a_payment(tx, invoice)

    note = (await discounted(tx, invoice, net_of_tax=True)).credit_note

    assert (note.total, note.taxes[0].group) == (euros(2_00), NET_OF_TAX)
    books = await accounts_of(tx)
    assert (books["665"], books["44571"]) == (2_00, -20_00)
    await assert_sound(tx)


async def test_on_no_invoice_it_is_one_too(tx: Tx) -> None:
    note = (await credited(tx, await a_shop(tx), reason=Reason.EARLY_PAYMENT)).credit_note

    assert (await accounts_of(tx))["665"] == 100_00
    assert "Escompte pour paiement anticipé" in [fact.text for fact in page.of_credit_note(note).facts]
    await assert_sound(tx)


async def test_the_page_of_the_note_says_what_it_is(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))

    printed = page.of_credit_note((await discounted(tx, invoice)).credit_note)

    assert [fact.text for fact in printed.facts][-2:] == ["Escompte pour paiement anticipé", "EUR"]


def test_an_invoice_says_the_sellers_terms_or_that_there_are_none() -> None:
    terms = replace(a_seller(), early_payment_discount=Name("2 % sous 8 jours"))
    with_terms = replace(an_invoice(), seller=terms)

    assert "Escompte pour paiement anticipé\u00a0: 2 % sous 8 jours." in page.of_invoice(with_terms).mentions
    assert "Escompte pour paiement anticipé\u00a0: néant." in page.of_invoice(an_invoice()).mentions
