"""Issued invoices, and what can be done with them."""

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.filters import OfCustomer
from api.operations import command, query
from api.pages import pdf_response
from billing.documents.keep import pdf_of
from billing.documents.receipt import receipt_of
from billing.dunning import store as dunning
from billing.dunning.model import Dunning, NewPause
from billing.dunning.pause import pause_dunning, resume_dunning
from billing.invoices import store
from billing.invoices.model import Invoice, InvoiceId
from billing.payments.collect import request_payment
from billing.payments.model import NewPayment, Payment
from billing.payments.record import record_payment
from billing.settlement.applicable import notes_for
from billing.settlement.model import ApplicableNote
from kernel import outbox
from kernel.database import Tx
from kernel.outbox import PublishedEvent
from kernel.paging import Page, Window
from refunds import fix_invoice as fixing
from refunds import reject_invoice as rejecting
from refunds.model import FixedInvoice, NewFix, NewRejection, RejectedInvoice
from subscriptions.backtests.discounts import InvoiceDiscounts, discounts_of


@query("/v1/invoices", scope="invoices:read")
async def list_invoices(
    tx: NamedDependency[Tx], window: NamedDependency[Window], of_customer: OfCustomer
) -> Page[Invoice]:
    """List issued invoices, newest first."""
    return await store.page(tx, window, customer_id=of_customer)


@query("/v1/invoices/{invoice_id}", scope="invoices:read")
async def get_invoice(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Invoice:
    """Read an issued invoice and the state of its settlement."""
    return await store.get(tx, invoice_id)


@query("/v1/invoices/{invoice_id}/discounts", scope="invoices:read")
async def get_invoice_discounts(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> InvoiceDiscounts:
    """Read what came off an invoice, and why the other offers its customer held did not."""
    return await discounts_of(tx, invoice_id)


@query("/v1/invoices/{invoice_id}/activity", scope="invoices:read")
async def get_invoice_activity(
    tx: NamedDependency[Tx], window: NamedDependency[Window], invoice_id: FromPath[InvoiceId]
) -> Page[PublishedEvent]:
    """Read what happened to an invoice, newest first: payments, credit notes, applications, refunds.

    That a worker issued it, with many others, stands on the invoice itself.
    """
    await store.get(tx, invoice_id)
    return await outbox.page_about(tx, window, invoice_id)


@query("/v1/invoices/{invoice_id}/applicable_credit_notes", scope="invoices:read")
async def get_applicable_credit_notes(
    tx: NamedDependency[Tx], window: NamedDependency[Window], invoice_id: FromPath[InvoiceId]
) -> Page[ApplicableNote]:
    """The credit notes of which something is left that could settle an invoice, newest first.

    Of the same customer, seller and currency, with what would be taken of each. POST /v1/settlements applies
    them.
    """
    return await notes_for(tx, invoice_id, window)


@query("/v1/invoices/{invoice_id}/pdf", scope="invoices:read")
async def get_invoice_pdf(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Response[bytes]:
    """The invoice as a PDF."""
    invoice = await store.get(tx, invoice_id)
    return pdf_response(await pdf_of(tx, invoice), invoice.number)


@query("/v1/invoices/{invoice_id}/receipt", scope="invoices:read")
async def get_invoice_receipt(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Response[bytes]:
    """The receipt of a paid invoice (facture acquittée) as a PDF: its page, with what settled it."""
    invoice = await store.get(tx, invoice_id)
    return pdf_response(await receipt_of(tx, invoice), f"{invoice.number}-receipt")


@command("/v1/invoices/{invoice_id}/payments", scope="payments:write", status=201)
async def create_payment(
    tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[NewPayment]
) -> Payment:
    """Record a payment that came past us: a transfer, a check, cash. Without amount, all that is due."""
    return await record_payment(tx, invoice_id, data)


@command("/v1/invoices/{invoice_id}/pay", scope="payments:write", status=202)
async def pay_invoice(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Invoice:
    """Charge the customer's payment method for all that is due. The worker does it right after."""
    return await request_payment(tx, invoice_id)


@command("/v1/invoices/{invoice_id}/fix", scope="credit_notes:write", status=201)
async def fix_invoice(
    tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[NewFix]
) -> FixedInvoice:
    """Put a wrong invoice right: a credit note for all that is left of it, and the corrected invoice.

    They are linked and sent together. What was paid is kept for the corrected invoice: only what is over
    goes back in the refund mode, and only what is missing is due. A line may name the `line` that it is in
    place of, with what is to be different; it then bills the same item and period.
    """
    return await fixing.fix_invoice(tx, invoice_id, data)


@command("/v1/invoices/{invoice_id}/reject", scope="credit_notes:write", status=201)
async def reject_invoice(
    tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[NewRejection]
) -> RejectedInvoice:
    """Record that the e-invoicing platform rejected an invoice: a credit note takes all of it back.

    With `correct` another invoice stands in its place in the same act, as with `fix`. An invoice that has
    been credited whole keeps the record alone.
    """
    return await rejecting.reject_invoice(tx, invoice_id, data)


@query("/v1/invoices/{invoice_id}/dunning", scope="invoices:read")
async def get_invoice_dunning(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Dunning:
    """Read where the dunning of an invoice stands: what was done, and when the next step is due.

    An invoice that was never overdue, and whose dunning nobody paused, has none: 404 `dunning_not_found`.
    """
    await store.get(tx, invoice_id)
    return await dunning.get(tx, invoice_id)


@command("/v1/invoices/{invoice_id}/pause_dunning", scope="invoices:write")
async def pause_invoice_dunning(
    tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[NewPause]
) -> Dunning:
    """Pause the dunning of an invoice until a day, or until it is resumed: the customer promised to pay.

    Also before it is overdue. No reminder, charge or final action comes meanwhile; later steps come as
    many days later.
    """
    return await pause_dunning(tx, invoice_id, data)


@command("/v1/invoices/{invoice_id}/resume_dunning", scope="invoices:write")
async def resume_invoice_dunning(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Dunning:
    """Resume the dunning of an invoice. A step whose time is over comes right after."""
    return await resume_dunning(tx, invoice_id)


ROUTES = [
    get_applicable_credit_notes,
    list_invoices,
    get_invoice,
    get_invoice_discounts,
    get_invoice_activity,
    get_invoice_pdf,
    get_invoice_receipt,
    create_payment,
    pay_invoice,
    fix_invoice,
    reject_invoice,
    get_invoice_dunning,
    pause_invoice_dunning,
    resume_invoice_dunning,
]
