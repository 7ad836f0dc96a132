"""What there is to say about each kind of event, read in one transaction; the page is kept on the way."""

from msgspec.structs import replace

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.documents import keep
from billing.documents.render import file_name
from billing.documents.terms import payment_terms, refund_terms, reminder_terms
from billing.dunning import rules
from billing.dunning import store as dunning
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId, InvoiceKind
from billing.parties import store as parties
from billing.parties.model import Customer, Language, Seller
from billing.payments import store as payments
from billing.payments.model import PaymentId
from billing.settlement import store as settlements
from billing.tax.model import TaxBehavior
from kernel.database import Tx
from kernel.ids import Id
from kernel.periods import local_date
from notifications.compose import Facts, Next, compose
from notifications.model import Attachment, Kind, Letter
from promotions.model import RedemptionId
from refunds import store as refunds
from refunds.events import InvoiceCorrected
from refunds.model import RefundId
from subscriptions import plan_store
from subscriptions import store as subscriptions
from subscriptions.model import SubscriptionId
from subscriptions.remind import Ending, find_ending


async def invoice_issued(tx: Tx, invoice_id: InvoiceId) -> Letter | None:
    """One that stands in place of another is sent together with the note that took that back."""
    invoice = await invoices.get(tx, invoice_id)
    if invoice.kind is InvoiceKind.CORRECTED:
        return None
    deducted = await settlements.deducted_at_issue(tx, invoice)
    facts = Facts(
        seller=invoice.seller.name,
        about=invoice.number,
        amount=invoice.total,
        terms=payment_terms(invoice, deducted),
    )
    return await _with_document(tx, Kind.INVOICE_ISSUED, invoice, facts)


async def invoice_corrected(tx: Tx, event: InvoiceCorrected) -> Letter:
    first = await invoices.get(tx, event.invoice_id)
    note = await credit_notes.get(tx, event.credit_note_id)
    corrected = await invoices.get(tx, event.corrected_invoice_id)
    deducted = await settlements.deducted_at_issue(tx, corrected)
    terms = [refund_terms(note)] if note.destination.to_provider or note.destination.by_hand else []
    facts = Facts(
        seller=corrected.seller.name,
        about=corrected.number,
        amount=corrected.total,
        terms="\n\n".join([payment_terms(corrected, deducted), *terms]),
        replaced=first.number,
        taken_back_by=note.number,
    )
    letter = await _with_document(tx, Kind.INVOICE_CORRECTED, corrected, facts)
    return replace(letter, attachments=(*letter.attachments, await _attached(tx, note)))


async def credit_note_issued(tx: Tx, credit_note_id: CreditNoteId) -> Letter | None:
    """One that took back an invoice in favour of another is sent together with that."""
    note = await credit_notes.get(tx, credit_note_id)
    if note.corrected_by is not None:
        return None
    facts = Facts(seller=note.seller.name, about=note.number, amount=note.total, terms=refund_terms(note))
    return await _with_document(tx, Kind.CREDIT_NOTE_ISSUED, note, facts)


async def payment_failed(tx: Tx, payment_id: PaymentId) -> Letter:
    payment = await payments.get(tx, payment_id)
    assert payment.invoice_id is not None, "only what an invoice asks for is charged, and may fail"
    invoice = await invoices.get(tx, payment.invoice_id)
    dun = await dunning.find(tx, invoice.id)
    facts = Facts(
        seller=invoice.seller.name,
        about=invoice.number,
        amount=payment.amount,
        again_on=rules.retry_on(dun, invoice) if dun else None,
    )
    return await _with_document(tx, Kind.PAYMENT_FAILED, invoice, facts)


async def invoice_reminder(tx: Tx, invoice_id: InvoiceId) -> Letter | None:
    """With what is due by now and not already on its way; None when that is nothing."""
    invoice = await invoices.get(tx, invoice_id)
    due = invoice.settlement.due - invoice.settlement.pending
    if not due:
        return None
    facts = Facts(
        seller=invoice.seller.name,
        about=invoice.number,
        amount=due,
        day=invoice.due_on,
        terms=reminder_terms(invoice),
    )
    return await _with_document(tx, Kind.INVOICE_REMINDER_DUE, invoice, facts)


async def refund_succeeded(tx: Tx, refund_id: RefundId) -> Letter | None:
    return await _about_refund(tx, refund_id, Kind.REFUND_SUCCEEDED)


async def refund_converted(tx: Tx, refund_id: RefundId) -> Letter | None:
    return await _about_refund(tx, refund_id, Kind.REFUND_CONVERTED)


async def _about_refund(tx: Tx, refund_id: RefundId, kind: Kind) -> Letter | None:
    """None for one that is of no note: the provider has told the customer."""
    refund = await refunds.get(tx, refund_id)
    if refund.credit_note_id is None:
        return None
    note = await credit_notes.get(tx, refund.credit_note_id)
    customer = await parties.customer(tx, note.customer_id)
    facts = Facts(seller=note.seller.name, about=note.number, amount=refund.amount)
    return _letter(kind, customer, note.seller, note.language, refund.id, facts)


async def subscription_cancelled(tx: Tx, subscription_id: SubscriptionId) -> Letter:
    subscription = await subscriptions.get(tx, subscription_id)
    version = (subscription.plan_id, subscription.version)
    plan = (await plan_store.versions_of(tx, [version]))[version]
    customer = await parties.customer(tx, subscription.customer_id)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    assert subscription.ended_at is not None, "what was cancelled has ended"
    day = local_date(subscription.ended_at, entity.zone)
    facts = Facts(seller=entity.seller.name, about=plan.name, day=day)
    return _letter(
        Kind.SUBSCRIPTION_CANCELLED, customer, entity.seller, customer.language, subscription.id, facts
    )


async def offer_ends_soon(tx: Tx, redemption_id: RedemptionId) -> Letter | None:
    """With what comes next; None when the end of the offer is not what comes."""
    ending = await find_ending(tx, redemption_id)
    if ending is None:
        return None
    customer = await parties.customer(tx, ending.subscription.customer_id)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    facts = Facts(
        seller=entity.seller.name,
        about=ending.plan.name,
        day=local_date(ending.ends_at, entity.zone),
        offer=ending.held.offer.name,
        next=_next(ending),
    )
    return _letter(Kind.OFFER_ENDS_SOON, customer, entity.seller, customer.language, redemption_id, facts)


def _next(ending: Ending) -> Next | None:
    if ending.next is None:
        return None
    plan = ending.next.plan
    return Next(
        plan=plan.name if plan.id != ending.plan.id else None,
        price=ending.next.price,
        interval=plan.interval,
        with_vat=plan.tax_behavior is TaxBehavior.INCLUSIVE,
    )


async def _with_document(tx: Tx, kind: Kind, document: Invoice | CreditNote, facts: Facts) -> Letter:
    """In the language of the document, which goes along unless it was issued elsewhere."""
    customer = await parties.customer(tx, document.customer_id)
    letter = _letter(kind, customer, document.seller, document.language, document.id, facts)
    if keep.is_imported(document):
        return letter
    return replace(letter, attachments=(await _attached(tx, document),))


async def _attached(tx: Tx, document: Invoice | CreditNote) -> Attachment:
    return Attachment(file_name=file_name(document), content=await keep.keep_pdf_of(tx, document))


def _letter(
    kind: Kind, customer: Customer, seller: Seller, language: Language, about: Id, facts: Facts
) -> Letter:
    """To the customer where they are now."""
    text = compose(kind, facts, language)
    return Letter(
        kind=kind,
        language=language,
        customer_id=customer.id,
        document_id=about.uuid,
        to_name=customer.name,
        to_address=customer.email,
        from_name=seller.name,
        reply_to=seller.email,
        subject=text.subject,
        body=text.body,
    )
