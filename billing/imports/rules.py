"""Whether a document issued elsewhere can be what it says, and what it is here. Pure.

It is booked on the day it is imported, against the opening balance (890) in place of sales and of the bank:
what it was booked as where it was issued is in the books there.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from msgspec.structs import replace

from billing.imports.model import (
    Imported,
    ImportedCreditLine,
    ImportedGroup,
    ImportedLine,
    ImportedPayment,
    ImportedTax,
    NewImportedInvoice,
)
from billing.invoices.model import Collection, InvoiceId, InvoiceKind, PricedLine
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.invoices.totals import status_of
from billing.ledger import postings
from billing.ledger.model import Posting
from billing.parties.model import Customer, LegalEntity, VatDue
from billing.payments.model import Means, Payment, PaymentId, Status
from billing.tax import rules as vat
from billing.tax.model import GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import UnitPrice
from kernel.errors import Conflict, DomainError, Invalid
from kernel.money import Currency, Money, total, zero
from kernel.periods import local_date

MOST_PER_UNIT = 10**13
OLDEST = timedelta(days=30 * 366)
FARTHEST = timedelta(days=10 * 366)


def imported(
    request: NewImportedInvoice, customer: Customer, entity: LegalEntity, *, now: datetime
) -> Imported:
    """Raises Invalid or Conflict where it does not add up, or cannot have been issued like this."""
    today = local_date(now, entity.zone)
    _check_days(request, today)
    check_number(request.number, entity.invoice_number_format, today)

    ready = ready_to_issue(
        ToIssue(
            id=InvoiceId.new(),
            entity=entity,
            customer=customer,
            currency=request.currency,
            tax_behavior=request.tax_behavior,
            lines=[priced(line, line.tax, request.currency) for line in request.lines],
            collection=Collection.SEND_INVOICE,
            note=request.note,
            metadata=request.metadata,
            kind=InvoiceKind.IMPORTED,
            taxes=taxes_of(request.taxes, request.currency),
        )
    )
    check_plausible(ready.sums.taxes, [line.tax for line in ready.lines], ready.sums.tax_behavior)
    payments = tuple(_payment(each, ready, today, now) for each in request.payments)
    paid = total((payment.amount for payment in payments), request.currency)
    _check_paid(paid, ready.sums.total)
    return Imported(
        ready=replace(
            ready,
            status=status_of(total=ready.sums.total, settled=paid),
            postings=[*ready.postings, *_paid_elsewhere(ready, paid)],
        ),
        number=request.number,
        issued_on=request.issued_on,
        due_on=request.due_on,
        payments=payments,
        paid=paid,
        dunned=request.dunning or request.due_on >= today,
    )


def check_number(number: str, form: str, today: date) -> None:
    """A number that the seller's own series could still come to would be there twice one day."""
    read = re.fullmatch(
        re.escape(form).replace(r"\{year\}", "(?P<year>[0-9]{4})").replace(r"\{number\}", "[0-9]{6,}"), number
    )
    if read is not None and int(read.groupdict().get("year") or today.year) >= today.year:
        raise Conflict(
            "number_of_own_series",
            f"{number} is a number that the seller's own series, {form}, gives or has given.",
            param="number",
        )


def priced(line: ImportedLine | ImportedCreditLine, tax: ImportedGroup, currency: Currency) -> PricedLine:
    vat.check(category=tax.category, rate=tax.rate, reason=tax.reason, param="lines")
    check_currency(line.amount, currency, param="lines")
    if line.amount.minor < 0:
        raise Invalid(
            "line_negative",
            f"{line.description!r} is below zero: take it off the lines that it makes cheaper.",
            param="lines",
        )
    price = UnitPrice.giving(line.amount, line.quantity)
    if price >= MOST_PER_UNIT:
        raise Invalid("amount_too_large", "A unit costs more than we carry exactly.", param="lines")
    return PricedLine(
        description=line.description,
        quantity=line.quantity,
        unit_price=price,
        amount=line.amount,
        tax=tax.group,
        item=line.item,
    )


def taxes_of(taxes: Sequence[ImportedTax] | None, currency: Currency) -> tuple[GroupTax, ...] | None:
    if taxes is None:
        return None
    for amount in (amount for each in taxes for amount in (each.base, each.tax)):
        check_currency(amount, currency, param="taxes")
    return tuple(GroupTax(group=each.group.group, base=each.base, tax=each.tax) for each in taxes)


def check_plausible(taxes: Iterable[GroupTax], lines: Sequence[TaxGroup], behavior: TaxBehavior) -> None:
    """Rounded per line in place of once, VAT is off by at most one unit a line."""
    for tax in taxes:
        usual = vat.tax_on(tax, behavior)
        most = lines.count(tax.group) if tax.group.rate else 0
        if tax.tax.minor < 0 or abs(tax.tax.minor - usual.minor) > most:
            raise Invalid(
                "tax_implausible",
                f"{tax.tax} is not the VAT of {tax.base} at {tax.group.rate!s} %, which is {usual}.",
                param="taxes",
            )


def _payment(request: ImportedPayment, ready: Ready, today: date, now: datetime) -> Payment:
    check_currency(request.amount, ready.currency, param="payments")
    if request.amount.minor <= 0:
        raise Invalid("payment_not_positive", "A payment is more than zero.", param="payments")
    if request.received_on > today:
        raise Invalid("day_in_future", "Record it when the money has moved.", param="payments")
    if request.received_on < today - OLDEST:
        raise Invalid("day_too_far_back", "Give what was paid in the last thirty years.", param="payments")
    return Payment(
        id=PaymentId.new(),
        customer_id=ready.customer.id,
        invoice_id=ready.id,
        currency=ready.currency,
        amount=request.amount,
        refunded=zero(ready.currency),
        disputed=zero(ready.currency),
        charged_back=zero(ready.currency),
        status=Status.SUCCEEDED,
        means=Means(request.means),
        reference=request.reference,
        received_on=request.received_on,
        gateway=None,
        gateway_reference=None,
        payment_method=None,
        failure_code=None,
        created_at=now,
    )


def _paid_elsewhere(ready: Ready, paid: Money) -> list[Posting]:
    if not paid:
        return []
    received = postings.settled_elsewhere(-paid)
    if ready.entity.vat_due is VatDue.ON_INVOICE:
        return received
    return received + postings.vat_fallen_due(
        ready.sums.taxes, credited_tax={}, released={}, received=paid, left=ready.sums.total
    )


def check_issued(issued_on: date, today: date) -> None:
    if issued_on > today:
        raise Invalid("issued_in_future", "Import it when it has been issued.", param="issued_on")
    if issued_on < today - OLDEST:
        raise Invalid(
            "issued_too_far_back", "Import what was issued in the last thirty years.", param="issued_on"
        )


def _check_days(request: NewImportedInvoice, today: date) -> None:
    check_issued(request.issued_on, today)
    if request.due_on > today + FARTHEST:
        raise Invalid("due_too_far", "It is due within ten years.", param="due_on")
    if request.due_on < request.issued_on:
        raise Invalid("due_before_issue", "It is due on the day it was issued, or later.", param="due_on")


def _check_paid(paid: Money, most: Money) -> None:
    if paid > most:
        raise Invalid(
            "payments_exceed_total",
            f"{paid} was paid on an invoice of {most}: give what was paid of this one.",
            param="payments",
        )


def check_currency(amount: Money, currency: Currency, *, param: str) -> None:
    if amount.currency != currency:
        raise Invalid("currency_mismatch", f"{amount} is not in {currency}, as the document is.", param=param)


def at_place(error: DomainError, place: int, what: str) -> DomainError:
    """The same refusal, saying which of the documents sent it is about."""
    field = f".{error.param}" if error.param else ""
    return type(error)(error.code, error.detail, param=f"{what}[{place}]{field}")
