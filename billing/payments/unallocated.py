"""Money that is on no invoice: it came for none, or for one that was settled meanwhile. It is never lost.

It has books of its own, is the customer's balance, and pays invoices when somebody says which.
"""

from msgspec.structs import replace

from billing.gateways.model import Charge
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.ledger import postings
from billing.ledger import store as ledger
from billing.ledger.book import release_vat
from billing.ledger.model import Account, Holder, Posting, Source, holder_of
from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity, LegalEntityId
from billing.payments import store
from billing.payments.events import MoneyReceived, PaymentApplied
from billing.payments.model import (
    Means,
    NewAllocation,
    NewMoney,
    Payment,
    PaymentId,
    Status,
    Unallocated,
)
from billing.payments.record import check_day
from billing.settlement import store as settlements
from billing.settlement.apply import day_of
from billing.settlement.model import SettlementId
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.ids import Id
from kernel.money import Money, zero
from kernel.periods import local_date


async def record_money(tx: Tx, customer_key: str, request: NewMoney) -> Payment:
    """What came past us, for no invoice."""
    customer = await parties.customer(tx, customer_key)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    if request.amount.minor <= 0:
        raise Invalid("payment_not_positive", "A payment is more than zero.", param="amount")
    check_day(request.received_on or today, today=today, param="received_on")
    payment = Payment(
        id=PaymentId.new(),
        customer_id=customer.id,
        invoice_id=None,
        currency=request.amount.currency,
        amount=request.amount,
        refunded=zero(request.amount.currency),
        disputed=zero(request.amount.currency),
        charged_back=zero(request.amount.currency),
        status=Status.SUCCEEDED,
        means=Means(request.means),
        reference=request.reference,
        received_on=request.received_on or today,
        gateway=None,
        gateway_reference=None,
        payment_method=None,
        failure_code=None,
        created_at=tx.now,
    )

    await keep(tx, payment, entity)
    return payment


async def keep(tx: Tx, payment: Payment, entity: LegalEntity, *, was_for: InvoiceId | None = None) -> None:
    """Book it in its own books, on the day it came."""
    assert payment.received_on is not None, "money that came in came on a day"
    holder = _holder(payment, entity.id)
    booked = postings.in_one_transaction(
        (holder, posting) for posting in postings.money_received(payment.amount)
    )

    await store.insert_unallocated(tx, payment, entity.id)
    await ledger.insert(
        tx,
        booked,
        Source.PAYMENT,
        payment.id,
        label="Payment on no invoice",
        booked_on=payment.received_on,
    )
    outbox.publish(
        tx,
        MoneyReceived(
            payment_id=payment.id,
            customer_id=payment.customer_id,
            invoice_id=was_for,
            amount=payment.amount,
        ),
    )


async def keep_after_all(tx: Tx, failed: Payment, reference: str, entity: LegalEntity) -> None:
    """A payment that failed has succeeded, and its invoice, which is locked, has no room for it any more."""
    assert failed.gateway is not None, "what failed was asked of a gateway"
    if await store.of_gateway(tx, failed.gateway, reference) not in (None, failed.id):
        return
    payment = replace(
        failed,
        id=PaymentId.new(),
        invoice_id=None,
        status=Status.SUCCEEDED,
        gateway_reference=reference,
        failure_code=None,
        received_on=local_date(tx.now, entity.zone),
        created_at=tx.now,
    )
    await keep(tx, payment, entity, was_for=failed.invoice_id)


async def keep_from_provider(tx: Tx, customer: Customer, charge: Charge, *, gateway: str) -> Payment:
    """What a customer paid at the provider, past us."""
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    payment = Payment(
        id=PaymentId.new(),
        customer_id=customer.id,
        invoice_id=None,
        currency=charge.amount.currency,
        amount=charge.amount,
        refunded=zero(charge.amount.currency),
        disputed=zero(charge.amount.currency),
        charged_back=zero(charge.amount.currency),
        status=Status.SUCCEEDED,
        means=Means.PROVIDER,
        reference=None,
        received_on=local_date(tx.now, entity.zone),
        gateway=gateway,
        gateway_reference=charge.reference,
        payment_method=charge.payment_method,
        failure_code=None,
        created_at=tx.now,
    )
    await keep(tx, payment, entity)
    return payment


async def apply_payment(tx: Tx, payment_id: PaymentId, request: NewAllocation) -> Unallocated:
    """Pay an invoice of the same customer, seller and currency with money that is on none.

    What is in dispute may be taken back: it pays nothing until that is over.
    """
    invoice = await invoices.lock(tx, request.invoice)
    locked = await store.lock_unallocated(tx, payment_id)
    payment = await store.get(tx, payment_id)

    if locked is None:
        raise Conflict("payment_on_invoice", "This payment came for an invoice, and pays that.")
    entity_id, minor = locked
    free = max(minor - payment.in_dispute.minor, 0)
    unallocated = Unallocated(payment=payment, legal_entity_id=entity_id, left=Money(free, payment.currency))
    amount = check(unallocated, invoice, request)

    settlement_id = await settlements.insert(tx, invoice.id, amount, payment_id=payment.id)
    await store.allocate(tx, payment.id, amount)
    after = await settle(tx, invoice, paid=amount)
    await _book(tx, unallocated, after, settlement_id, amount)
    outbox.publish(
        tx,
        PaymentApplied(
            payment_id=payment.id, customer_id=payment.customer_id, invoice_id=invoice.id, amount=amount
        ),
    )
    return replace(unallocated, left=unallocated.left - amount)


async def lose(tx: Tx, payment: Payment, amount: Money, dispute_id: Id) -> None:
    """Of what is on no invoice, a dispute took an amount back. What had gone back before is owed to us."""
    locked = await store.lock_unallocated(tx, payment.id)
    assert locked is not None, "what a dispute takes that no invoice had is on none"
    entity = await parties.legal_entity(tx, locked[0])
    holder = _holder(payment, entity.id)
    booked = postings.in_one_transaction((holder, posting) for posting in postings.money_given_back(amount))

    await store.allocate(tx, payment.id, min(amount, Money(locked[1], payment.currency)))
    await ledger.insert(
        tx,
        booked,
        Source.DISPUTE,
        dispute_id,
        label="Dispute lost",
        booked_on=local_date(tx.now, entity.zone),
    )


def _holder(payment: Payment, legal_entity_id: LegalEntityId) -> Holder:
    """The books of money that is on no invoice."""
    return Holder(
        legal_entity_id=legal_entity_id,
        customer_id=payment.customer_id,
        currency=payment.currency,
        payment_id=payment.id,
    )


def check(unallocated: Unallocated, invoice: Invoice, request: NewAllocation) -> Money:
    """How much of it pays the invoice."""
    payment, free = unallocated.payment, invoice.settlement.due - invoice.settlement.pending
    if payment.currency != invoice.currency:
        raise Invalid(
            "currency_mismatch",
            f"The money is in {payment.currency}, {invoice.number} in {invoice.currency}.",
        )
    if payment.customer_id != invoice.customer_id:
        raise Invalid("customer_mismatch", f"The money and {invoice.number} are not of the same customer.")
    if unallocated.legal_entity_id != invoice.legal_entity_id:
        raise Invalid("seller_mismatch", f"The money and {invoice.number} are not of the same seller.")
    amount = min(unallocated.left, free) if request.amount is None else request.amount
    if amount.currency != payment.currency:
        raise Invalid("currency_mismatch", f"The money is in {payment.currency}.", param="amount")
    if not free:
        raise Conflict("nothing_due", f"Nothing is due on {invoice.number} that is not on its way.")
    if not unallocated.left:
        raise Conflict("nothing_left", "All of this money is matched with invoices, or in dispute.")
    if amount.minor <= 0:
        raise Invalid("settlement_not_positive", "What is matched is more than zero.", param="amount")
    if amount > min(unallocated.left, free):
        raise Conflict(
            "payment_exceeds_due",
            f"{unallocated.left} is left of this money, and {free} due on {invoice.number}.",
            param="amount",
        )
    return amount


async def _book(
    tx: Tx, unallocated: Unallocated, invoice: Invoice, settlement_id: SettlementId, amount: Money
) -> None:
    """Out of the books of the money, into those of the invoice. `invoice` is as it is after the act."""
    booked_on = day_of(tx, invoice)
    payment = unallocated.payment
    own = _holder(payment, unallocated.legal_entity_id)
    booked = postings.in_one_transaction(
        (holder, Posting(account=Account.CUSTOMERS, amount=owed))
        for holder, owed in ((own, amount), (holder_of(invoice), -amount))
    )
    label = f"Payment applied to {invoice.number}"
    await ledger.insert(tx, booked, Source.APPLICATION, settlement_id, label=label, booked_on=booked_on)
    await release_vat(tx, invoice, Source.APPLICATION, settlement_id, booked_on=booked_on)
