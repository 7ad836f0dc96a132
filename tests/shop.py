"""A seller, a customer and their documents in the database, made by the house's own verbs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNote, NewCreditLine, NewCreditNote, Reason, Refunding
from billing.invoices import store as invoices
from billing.invoices.issue import issue_invoice
from billing.invoices.model import Collection, Invoice, InvoiceId, Line, PricedLine
from billing.invoices.ready import ToIssue
from billing.parties import store as parties
from billing.parties.add_customer import add_customer
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.change_settings import change_settings
from billing.parties.model import (
    Customer,
    Language,
    LegalEntity,
    NewCustomer,
    NewLegalEntity,
    RefundMode,
    SettingsChange,
    SettleCreditNotes,
    VatDue,
)
from billing.payments.model import NewPayment, OutsideMeans, Payment
from billing.payments.record import record_payment
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, NewTaxRate, TaxBehavior
from kernel.database import Door, Pool, Tx, begin, commit, rollback, transaction
from kernel.decimals import Quantity, Rate
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.text import Email, Name, Reference
from tests.makers import EUR, NOON, a_seller, an_address, euros, three_lines

T = TypeVar("T")

REVERSED = NewTaxRate(
    reference=Reference("reverse"),
    name=Name("Autoliquidation"),
    category=Category.REVERSE_CHARGE,
    rate=Rate(0),
    reason=Name("Art. 283-2 du CGI"),
)


@asynccontextmanager
async def a_transaction(
    pool: Pool, *, tenant: TenantId | None = None, now: datetime = NOON
) -> AsyncIterator[Tx]:
    """Of a tenant of its own unless one is named, rolled back at the end: it leaves nothing."""
    async with pool.acquire() as conn:
        tx = await begin(conn, tenant or TenantId.new(), now=now)
        try:
            yield tx
        finally:
            await rollback(tx)


def at(tx: Tx, now: datetime) -> Tx:
    """The same transaction, at another time."""
    later = Tx(tx.conn, tx.tenant, now)
    later.events = tx.events
    return later


def a_door(pool: Pool, tenant: TenantId, *, now: datetime = NOON, clock: datetime | None = None) -> Door:
    return Door(pool=pool, tenant=tenant, now=lambda: now, clock=clock)


async def while_open(
    pool: Pool,
    tenant: TenantId,
    first: Callable[[Tx], Awaitable[object]],
    second: Callable[[Tx], Awaitable[T]],
    *,
    now: datetime = NOON,
) -> T:
    """Let `second` begin while the transaction of `first` is open: it has to wait until that is over."""
    async with pool.acquire() as conn:
        tx = await begin(conn, tenant, now=now)
        await first(tx)
        waiting = asyncio.create_task(_in_a_transaction(pool, tenant, second, now=now))
        await until_it_waits(pool, waiting)
        await commit(tx)
    return await waiting


async def _in_a_transaction(
    pool: Pool, tenant: TenantId, act: Callable[[Tx], Awaitable[T]], *, now: datetime
) -> T:
    async with transaction(pool, tenant, now=now) as tx:
        return await act(tx)


async def until_it_waits(pool: Pool, task: "asyncio.Task[T]") -> None:
    async with asyncio.timeout(10):
        while not await pool.fetchval(
            """
            SELECT count(*)
            FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
            """
        ):
            assert not task.done(), f"it did not wait: {task}"
            await asyncio.sleep(0.01)


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
        vat_number=Name("FR83404833048"),
        language=language,
        payment_method=Name(payment_method) if payment_method else None,
    )
    return await add_customer(tx, customer)


async def a_shop_by_hand(
    tx: Tx, *, vat_due: VatDue = VatDue.ON_PAYMENT, payment_method: str | None = None
) -> Customer:
    """Where what is left of credit notes pays nothing by itself."""
    customer = await a_shop(tx, vat_due=vat_due, payment_method=payment_method)
    await change_settings(tx, SettingsChange(settle_credit_notes=SettleCreditNotes.NEVER))
    return customer


async def default_seller(tx: Tx) -> LegalEntity:
    entity, _, _ = await parties.seller_for(tx, entity=None, tax_rate=None)
    return entity


async def an_issued_invoice(
    tx: Tx,
    customer: Customer,
    lines: Sequence[PricedLine] | None = None,
    *,
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE,
    currency: Currency = EUR,
) -> Invoice:
    request = ToIssue(
        id=InvoiceId.new(),
        entity=await parties.legal_entity(tx, customer.legal_entity_id),
        customer=customer,
        currency=currency,
        tax_behavior=tax_behavior,
        lines=three_lines() if lines is None else lines,
        collection=Collection.SEND_INVOICE,
    )
    return await issue_invoice(tx, request)


async def another_customer(
    tx: Tx,
    reference: str = "user-43",
    *,
    email: str = "accounts@hartley.example",
    vat_number: str | None = None,
    payment_method: str | None = None,
) -> Customer:
    customer = NewCustomer(
        reference=Reference(reference),
        name=Name("Hartley & Sons"),
        email=Email(email),
        address=an_address(),
        vat_number=Name(vat_number) if vat_number else None,
        payment_method=Name(payment_method) if payment_method else None,
    )
    return await add_customer(tx, customer)


async def a_payment(
    tx: Tx, invoice: Invoice, minor: int | None = None, *, means: OutsideMeans = OutsideMeans.TRANSFER
) -> Payment:
    """Of all that is due, or of a part of it, past any provider."""
    amount = None if minor is None else euros(minor)
    return await record_payment(tx, invoice.id, NewPayment(means=means, amount=amount))


def by_amount(line: Line, minor: int) -> NewCreditLine:
    return NewCreditLine(line=line.id, amount=euros(minor))


def by_quantity(line: Line, quantity: str) -> NewCreditLine:
    return NewCreditLine(line=line.id, quantity=Quantity.parse(quantity))


def the_rest_of(line: Line) -> NewCreditLine:
    return NewCreditLine(line=line.id)


def a_refunding(mode: RefundMode = RefundMode.NONE) -> Refunding:
    return Refunding(mode=mode, due_on=NOON.date(), by_provider=euros(0))


async def a_credit(
    tx: Tx, invoice: Invoice, *lines: NewCreditLine, reason: Reason = Reason.CANCELLATION
) -> CreditNote:
    """Of these lines, or of all that is left; what of it was paid stays on the note."""
    locked = await invoices.lock(tx, invoice.id)
    request = NewCreditNote(reason=reason, lines=list(lines) or None)
    return await issue_credit_note(tx, locked, request, refund=a_refunding())


async def an_issued_credit_note(tx: Tx, invoice: Invoice) -> CreditNote:
    """Of all that is left of the invoice."""
    locked = await invoices.lock(tx, invoice.id)
    request = NewCreditNote(reason=Reason.CANCELLATION)
    return await issue_credit_note(tx, locked, request, refund=a_refunding())
