"""A seller, a customer and their documents in the database, made by the house's own verbs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.invoices import store as invoices
from billing.invoices.issue import ToIssue, issue_invoice
from billing.invoices.model import Collection, Invoice, InvoiceId, PricedLine
from billing.parties.add_customer import add_customer
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import Customer, Language, NewCustomer, NewLegalEntity, RefundMode, VatDue
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate
from kernel.database import Pool, Tx, begin, rollback
from kernel.decimals import Rate
from kernel.ids import TenantId
from kernel.text import Email, Name, Reference
from tests.makers import EUR, NOON, a_seller, an_address, three_lines


@asynccontextmanager
async def a_transaction(pool: Pool, *, now: datetime = NOON) -> AsyncIterator[Tx]:
    """Of a tenant of its own, rolled back at the end: it leaves nothing."""
    async with pool.acquire() as conn:
        tx = await begin(conn, TenantId.new(), now=now)
        try:
            yield tx
        finally:
            await rollback(tx)


def at(tx: Tx, now: datetime) -> Tx:
    """The same transaction, at another time."""
    return Tx(tx.conn, tx.tenant, now)


async def a_shop(
    tx: Tx,
    *,
    name: str = "Atelier Bœuf & Cœur",
    email: str = "compta@atelier.example",
    language: Language = Language.FRENCH,
    payment_method: str | None = None,
    vat_due: VatDue = VatDue.ON_PAYMENT,
) -> Customer:
    """The first customer of a seller that has just opened."""
    standard = NewTaxRate(reference=Reference("vat-20"), name=Name("TVA 20 %"), rate=Rate.parse("20"))
    await add_tax_rate(tx, standard)
    await add_legal_entity(
        tx,
        NewLegalEntity(reference=Reference("main"), seller=a_seller(), tax_rate="vat-20", vat_due=vat_due),
    )
    customer = NewCustomer(
        reference=Reference("user-42"),
        name=Name(name),
        email=Email(email),
        address=an_address(),
        language=language,
        payment_method=Name(payment_method) if payment_method else None,
    )
    return await add_customer(tx, customer)


async def an_issued_invoice(tx: Tx, customer: Customer, lines: Sequence[PricedLine] | None = None) -> Invoice:
    request = ToIssue(
        id=InvoiceId.new(),
        customer=customer,
        currency=EUR,
        lines=three_lines() if lines is None else lines,
        collection=Collection.SEND_INVOICE,
    )
    return await issue_invoice(tx, request)


async def an_issued_credit_note(tx: Tx, invoice: Invoice) -> CreditNote:
    """Of all that is left of the invoice."""
    locked = await invoices.lock(tx, invoice.id)
    request = NewCreditNote(reason=Reason.CANCELLATION)
    return await issue_credit_note(tx, locked, request, refund_mode=RefundMode.AUTOMATIC, refund_on=None)
