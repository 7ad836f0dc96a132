"""Verbs of one customer meet at the number series, their last lock: they take turns and never stand still.

Each of these holds what one verb has locked by then, and lets the other come up to the end.
"""

import asyncio

import pytest

from billing.credit_notes.model import NewCreditNote, Reason
from billing.invoices import draft as drafts
from billing.invoices.model import InvoiceId, NewDraft, NewLine
from billing.parties import store as parties
from kernel.database import Pool, Tx, commit, transaction
from kernel.decimals import UnitPrice
from kernel.ids import TenantId
from kernel.text import Name
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.credit_invoice import credit_invoice
from refunds.model import Credit, NewCancellation, NewChange
from subscriptions import store as subscriptions
from subscriptions.model import Subscription
from subscriptions.renew import renew
from tests.books import assert_sound
from tests.makers import EUR, NOON
from tests.refunds.cases import TENTH_DAY, billed
from tests.shop import a_payment, a_transaction, an_issued_invoice, at, until_it_waits
from tests.subscriptions.plans import a_plan, a_price

CREDITED = NewCreditNote(reason=Reason.COMMERCIAL_GESTURE)


async def a_draft(tx: Tx) -> InvoiceId:
    line = NewLine(description=Name("Conseil"), unit_price=UnitPrice.parse("100.00"))
    return (await drafts.draft_invoice(tx, NewDraft(customer="user-77", currency=EUR, lines=[line]))).id


async def lock(tx: Tx, subscription: Subscription) -> None:
    """The locks with which renewing and cancelling begin."""
    await parties.lock_customer(tx, subscription.customer_id)
    await subscriptions.lock(tx, subscription.id)


async def numbers(tx: Tx, table: str) -> list[str]:
    return [row["number"] for row in await tx.conn.fetch(f"SELECT number FROM {table} ORDER BY number")]


async def test_a_draft_is_issued_while_its_customer_is_held_by_a_renewal(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = (await billed(tx)).subscription
        draft_id = await a_draft(tx)
    end = subscription.current_period.end

    async with (
        a_transaction(pool, tenant=tenant, now=end) as renewing,
        a_transaction(pool, tenant=tenant, now=end) as issuing,
    ):
        await lock(renewing, subscription)
        async with asyncio.timeout(5):
            await drafts.issue_draft(issuing, draft_id)
        renewal = asyncio.create_task(renew(renewing, subscription.id))
        await until_it_waits(pool, renewal)
        await commit(issuing)
        await renewal
        await commit(renewing)

    async with transaction(pool, tenant, now=end) as tx:
        assert await numbers(tx, "invoices") == ["F2026-000001", "F2026-000002", "F2026-000003"]
        await assert_sound(tx)


@pytest.mark.parametrize("which", ["another invoice", "the invoice that is about to be credited"])
async def test_an_invoice_is_credited_while_its_customer_is_held_by_a_cancellation(
    pool: Pool, tenant: TenantId, which: str
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        case = await billed(tx)
        customer = await parties.customer(tx, "user-77")
        other = await an_issued_invoice(tx, customer)
    credited = other if which == "another invoice" else case.invoice

    async with (
        a_transaction(pool, tenant=tenant, now=TENTH_DAY) as cancelling,
        a_transaction(pool, tenant=tenant, now=TENTH_DAY) as crediting,
    ):
        await lock(cancelling, case.subscription)
        async with asyncio.timeout(5):
            await credit_invoice(crediting, credited.id, CREDITED)
        cancellation = asyncio.create_task(
            cancel_subscription(cancelling, case.subscription.id, NewCancellation(credit=Credit.FULL))
        )
        await until_it_waits(pool, cancellation)
        await commit(crediting)
        notes = (await cancellation).credit_notes
        await commit(cancelling)

    assert (not notes) == (credited is case.invoice)
    async with transaction(pool, tenant, now=TENTH_DAY) as tx:
        assert await numbers(tx, "credit_notes") == ["A2026-000001", "A2026-000002"][: 1 + len(notes)]
        await assert_sound(tx)


async def test_an_invoice_is_credited_while_its_subscription_is_held_by_a_change(
    pool: Pool, tenant: TenantId
) -> None:
    """The change comes upon an invoice that a note has paid: it locks that note and its invoice too."""
    async with transaction(pool, tenant, now=TENTH_DAY) as tx:
        case = await billed(at(tx, NOON))
        await a_payment(tx, case.invoice)
        await a_plan(tx, "business", a_price("99.00"))
        await a_plan(tx, "basic", a_price("9.90"))
        changed = await change_subscription(tx, case.subscription.id, NewChange(plan="business"))
    assert changed.invoice is not None

    async with (
        a_transaction(pool, tenant=tenant, now=TENTH_DAY) as changing,
        a_transaction(pool, tenant=tenant, now=TENTH_DAY) as crediting,
    ):
        await lock(changing, case.subscription)
        async with asyncio.timeout(5):
            await credit_invoice(crediting, changed.invoice.id, CREDITED)
        change = asyncio.create_task(
            change_subscription(changing, case.subscription.id, NewChange(plan="basic"))
        )
        await until_it_waits(pool, change)
        await commit(crediting)
        again = await change
        await commit(changing)

    assert again.credit_notes == ()  # nothing was left of it
    async with transaction(pool, tenant, now=TENTH_DAY) as tx:
        await assert_sound(tx)
