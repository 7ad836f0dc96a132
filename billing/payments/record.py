"""Recording a payment that came past us."""

from datetime import date, timedelta

from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.payments import store
from billing.payments.model import Means, NewPayment, Payment, PaymentId, Status
from billing.payments.received import receive
from billing.settlement.match import match_documents
from billing.settlement.model import InvoiceToSettle, NewSettlements
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money, zero
from kernel.periods import local_date


async def record_payment(tx: Tx, invoice_id: InvoiceId, request: NewPayment) -> Payment:
    """Credit notes that come with it are applied first; what they settle is no more to be paid."""
    if request.credit_notes:
        due = [InvoiceToSettle(invoice=invoice_id)]
        await match_documents(tx, NewSettlements(credit_notes=request.credit_notes, invoices=due))
    invoice = await invoices.lock(tx, invoice_id)
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    amount = check(invoice, request)
    check_day(request.received_on or today, today=today, param="received_on")
    payment = Payment(
        id=PaymentId.new(),
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        amount=amount,
        refunded=zero(invoice.currency),
        disputed=zero(invoice.currency),
        charged_back=zero(invoice.currency),
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

    await store.insert(tx, payment)
    await receive(tx, invoice, payment)
    return payment


def check_day(day: date, *, today: date, param: str) -> None:
    """Money moved today or in the year before: further back the books are closed."""
    if day > today:
        raise Invalid("day_in_future", "Record it when the money has moved.", param=param)
    if day < today - timedelta(days=366):
        raise Invalid("day_too_far_back", "A day more than a year back cannot be booked.", param=param)


def check(invoice: Invoice, request: NewPayment) -> Money:
    """The amount to record: at most what is due and not already on its way. Nothing, if notes paid it."""
    due = invoice.settlement.due - invoice.settlement.pending
    amount = due if request.amount is None else request.amount
    if amount.currency != invoice.currency:
        raise Invalid(
            "currency_mismatch",
            f"The payment is in {amount.currency}, the invoice in {invoice.currency}.",
            param="amount",
        )
    if not amount and request.credit_notes:
        return amount
    if amount.minor <= 0 and request.amount is not None:
        raise Invalid("payment_not_positive", "A payment is more than zero.", param="amount")
    if amount > due or not due:
        raise Conflict(
            "payment_exceeds_due",
            f"{due} is due on {invoice.number} and not already on its way.",
            param="amount",
        )
    return amount
