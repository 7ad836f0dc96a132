"""Changes and cancellations of plans whose prices include VAT: the gross is credited and billed by the day.

Pro is 29.00 a month with VAT, Business 99.00. The first period is 15 January to 15 February, 31 days, of
which 21 are left on the tenth day.
"""

import pytest

from billing.invoices.model import Invoice
from billing.parties.add_customer import add_customer
from billing.parties.change_settings import change_settings
from billing.parties.model import NewCustomer, SettingsChange
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, NewTaxRate, TaxBehavior
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.text import Email, Name, Reference
from promotions.model import NewOffer, Periods
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import Change, Credit, NewCancellation, NewChange
from subscriptions.model import NewSubscription, Signup
from subscriptions.sign_up import subscribe
from tests.books import accounts_of, assert_sound
from tests.makers import an_address, euros
from tests.promotions.offers import a_new_offer, percent
from tests.refunds.cases import TENTH_DAY, paid_by_provider, settlement_of
from tests.shop import at
from tests.subscriptions.plans import a_plan, a_price, renewed, signed_up

INCLUSIVE = TaxBehavior.INCLUSIVE


async def a_gross_subscription(tx: Tx, offer: NewOffer | None = None) -> Signup:
    """Of Pro, in a shop that has Business too."""
    await change_settings(tx, SettingsChange(tax_behavior=INCLUSIVE))
    signup = await signed_up(tx, offer=offer)
    await a_plan(tx, "business", a_price("99.00"))
    return signup


async def upgraded(tx: Tx, signup: Signup) -> Change:
    return await change_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewChange(plan="business"))


def cents(invoice: Invoice | None) -> tuple[int, int, int]:
    assert invoice is not None
    return invoice.net.minor, invoice.tax.minor, invoice.total.minor


async def test_an_upgrade_of_a_discounted_partly_paid_gross_plan(tx: Tx) -> None:
    """Half of 29.00 is 14.50, of which 10.00 were paid and 4.50 are due."""
    signup = await a_gross_subscription(tx, a_new_offer(percent("50"), duration=Periods(count=3)))
    assert signup.invoice is not None
    assert cents(signup.invoice) == (12_08, 2_42, 14_50)
    await paid_by_provider(tx, signup.invoice, 10_00)

    changed = await upgraded(tx, signup)

    # Not used: 14.50 × 21 / 31 = 9.82, which holds 8.18 and 1.64. Of it 4.50 were due and 5.32 paid.
    (note,) = changed.credit_notes
    assert (note.net, note.tax, note.total) == (euros(8_18), euros(1_64), euros(9_82))
    assert (note.destination.to_invoice, note.destination.to_balance) == (euros(4_50), euros(5_32))
    assert (await settlement_of(tx, signup.invoice)).due == euros(0)

    # The rest: 99.00 × 21 / 31 = 67.06, half of it 33.53, which holds 27.94 and 5.59; the note pays 5.32.
    assert changed.invoice is not None
    (line,) = changed.invoice.lines
    assert (line.amount, line.discount, line.included_tax) == (euros(67_06), euros(33_53), euros(5_59))
    assert cents(changed.invoice) == (27_94, 5_59, 33_53)
    assert changed.invoice.settlement.due == euros(33_53 - 5_32)
    assert (await accounts_of(tx))["706"] == -(12_08 - 8_18 + 27_94)
    await assert_sound(tx)

    assert cents((await renewed(tx, changed.subscription)).invoice) == (41_25, 8_25, 49_50)


@pytest.mark.parametrize(("credit", "left"), [(Credit.PRORATED, 29_00 - 19_65), (Credit.FULL, 0)])
async def test_a_cancellation_credits_of_the_gross_price(tx: Tx, credit: Credit, left: int) -> None:
    signup = await a_gross_subscription(tx)

    cancellation = await cancel_subscription(
        at(tx, TENTH_DAY), signup.subscription.id, NewCancellation(credit=credit)
    )

    (note,) = cancellation.credit_notes
    assert note.total == euros(29_00 - left)  # 29.00 × 21 / 31 = 19.65
    assert (await accounts_of(tx)).get("411", 0) == left
    await assert_sound(tx)


async def test_from_a_net_plan_to_a_gross_one_each_document_has_its_own_prices(tx: Tx) -> None:
    signup = await signed_up(tx)
    await change_settings(tx, SettingsChange(tax_behavior=INCLUSIVE))
    await a_plan(tx, "business", a_price("99.00"))

    changed = await upgraded(tx, signup)

    (note,) = changed.credit_notes
    assert (note.tax_behavior, note.net, note.total) == (
        TaxBehavior.EXCLUSIVE,
        euros(19_65),
        euros(23_58),
    )
    assert changed.invoice is not None
    assert changed.invoice.tax_behavior is INCLUSIVE
    assert cents(changed.invoice) == (55_88, 11_18, 67_06)
    await assert_sound(tx)


async def test_who_is_charged_no_vat_changes_at_net_prices(tx: Tx) -> None:
    """29.00 is 24.17 to them; 24.17 × 21 / 31 = 16.37. The rest of Business is 67.06, or 55.88 to them."""
    await a_gross_subscription(tx)
    await add_tax_rate(
        tx,
        NewTaxRate(
            reference=Reference("export"),
            name=Name("Export"),
            category=Category.EXPORT,
            rate=Rate(0),
            reason=Name("Art. 259-1 du CGI"),
        ),
    )
    await add_customer(
        tx,
        NewCustomer(
            reference=Reference("abroad"),
            name=Name("Hartley & Sons"),
            email=Email("accounts@hartley.example"),
            address=an_address(country="GB"),
            tax_rate="export",
        ),
    )
    signup = await subscribe(tx, NewSubscription(customer="abroad", plan="pro"))
    assert cents(signup.invoice) == (24_17, 0, 24_17)

    changed = await upgraded(tx, signup)

    assert [note.total for note in changed.credit_notes] == [euros(16_37)]
    assert cents(changed.invoice) == (55_88, 0, 55_88)
    await assert_sound(tx)
