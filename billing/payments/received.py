"""What follows from money having come in."""

from billing.invoices.model import Invoice
from billing.ledger import postings
from billing.ledger.book import book, release_vat
from billing.ledger.model import Source
from billing.payments.events import PaymentSucceeded
from billing.payments.model import Payment
from billing.settlement import store as settlements
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.money import Money


async def receive(tx: Tx, invoice: Invoice, payment: Payment, *, was_pending: bool = False) -> None:
    """Match the payment to its invoice, which the caller has locked, and book it on the day it came."""
    assert payment.received_on is not None, "money that came in came on a day"
    pending = Money(-payment.amount.minor, payment.currency) if was_pending else None

    if payment.amount:  # one of 0.00 comes with the notes that settled it
        await settlements.insert(tx, invoice.id, payment.amount, payment_id=payment.id)
    after = await settle(tx, invoice, paid=payment.amount, pending=pending)
    await book(
        tx,
        invoice,
        Source.PAYMENT,
        payment.id,
        postings.money_received(payment.amount),
        label=f"Payment of {invoice.number}",
        booked_on=payment.received_on,
    )
    await release_vat(tx, after, Source.PAYMENT, payment.id, booked_on=payment.received_on)
    outbox.publish(
        tx,
        PaymentSucceeded(payment_id=payment.id, invoice_id=invoice.id, customer_id=invoice.customer_id),
    )
