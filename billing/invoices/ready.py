"""An invoice before its number: added up, checked, and ready to be booked. Pure."""

from collections.abc import Sequence

from billing.invoices import issuable, totals
from billing.invoices.model import (
    Collection,
    DepositDeduction,
    DocumentReference,
    InvoiceId,
    InvoiceKind,
    Line,
    LineId,
    PricedLine,
    Status,
)
from billing.invoices.totals import Totals
from billing.ledger import postings
from billing.ledger.model import Account, Posting
from billing.parties.model import Customer, LegalEntity
from billing.tax.model import GroupTax, TaxBehavior
from kernel.errors import Conflict
from kernel.money import Currency, Money, total
from kernel.structs import Value


class ToIssue(Value, frozen=True, kw_only=True):
    """Everything an invoice says that its number does not decide. The entity is the customer's.

    `taxes` is VAT it comes with, in place of what its rates come to; `against` the account it is booked
    against, where that does not follow from its kind.
    """

    id: InvoiceId
    entity: LegalEntity
    customer: Customer
    currency: Currency
    tax_behavior: TaxBehavior
    lines: Sequence[PricedLine]
    collection: Collection
    note: str | None = None
    metadata: dict[str, str] = {}
    kind: InvoiceKind = InvoiceKind.STANDARD
    references: tuple[DocumentReference, ...] = ()
    taxes: tuple[GroupTax, ...] | None = None
    deductions: tuple[DepositDeduction, ...] = ()
    against: Account | None = None


class Ready(Value, frozen=True, kw_only=True):
    """An invoice that wants nothing but its number."""

    id: InvoiceId
    entity: LegalEntity
    customer: Customer
    currency: Currency
    collection: Collection
    terms_days: int
    lines: tuple[Line, ...]
    sums: Totals
    status: Status
    postings: Sequence[Posting]
    note: str | None
    metadata: dict[str, str]
    kind: InvoiceKind
    references: tuple[DocumentReference, ...]
    deductions: tuple[DepositDeduction, ...]
    deducted: Money


def ready_to_issue(request: ToIssue) -> Ready:
    """Added up, checked and ready to be booked. Raises Conflict where the law wants more said."""
    sums = totals.totals_of(request.lines, request.currency, request.tax_behavior, given=request.taxes)
    if request.kind is not InvoiceKind.IMPORTED:  # what was issued elsewhere says what it says
        issuable.check(request.entity.seller, request.customer.buyer, sums.taxes, request.currency)
    issued = postings.invoice_issued(sums, request.entity.vat_due, request.kind, request.against)
    booked = [each for each in issued if each.amount]
    assert not total((each.amount for each in booked), request.currency), "an invoice balances"
    deducted = total((each.total for each in request.deductions), request.currency)
    if deducted > sums.total:
        raise Conflict(
            "deposits_exceed_invoice",
            f"The deposits come to {deducted}, the invoice to {sums.total}. Credit what is too much of them.",
            param="deposits",
        )
    return Ready(
        id=request.id,
        entity=request.entity,
        customer=request.customer,
        currency=request.currency,
        collection=request.collection,
        terms_days=0 if request.collection is Collection.AUTOMATIC else request.entity.payment_terms_days,
        lines=tuple(_line(*each) for each in zip(sums.lines, sums.included_tax, strict=True)),
        sums=sums,
        status=totals.status_of(total=sums.total, settled=deducted),
        postings=booked,
        note=request.note,
        metadata=request.metadata,
        kind=request.kind,
        references=request.references,
        deductions=request.deductions,
        deducted=deducted,
    )


def _line(line: PricedLine, included_tax: Money) -> Line:
    return Line(
        id=LineId.new(),
        item=line.item,
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        recurring=line.recurring,
        period=line.period,
        amount=line.amount,
        discount=line.discount,
        included_tax=included_tax,
        net=line.billed - included_tax,
        allowances=line.allowances,
        discountable=line.discountable,
        tax=line.tax,
    )
