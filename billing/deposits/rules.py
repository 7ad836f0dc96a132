"""Which deposits an invoice may deduct, and what is deducted of each. Pure.

A deposit is deducted once and as it was invoiced, net and VAT per group, less what was credited of it.
"""

from collections.abc import Iterable, Mapping

from billing.invoices.model import (
    DepositDeduction,
    DocumentKind,
    DocumentReference,
    Invoice,
    InvoiceKind,
    Status,
)
from billing.parties.model import Customer
from billing.tax.model import GroupTax, TaxGroup
from kernel.errors import Conflict, Invalid
from kernel.money import Currency
from kernel.money import total as sum_of


def check_named_once(ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        raise Invalid("deposit_twice", "Name each deposit once.", param="deposits")


def check(deposit: Invoice, customer: Customer, currency: Currency) -> None:
    """It may be deducted from an invoice to this customer, once it is settled."""
    if deposit.kind is not InvoiceKind.DEPOSIT:
        raise Invalid(
            "deposit_expected",
            f"{deposit.number} is no deposit invoice, and not deducted.",
            param="deposits",
        )
    if deposit.customer_id != customer.id:
        raise Invalid("customer_mismatch", f"{deposit.number} was for another customer.", param="deposits")
    if deposit.legal_entity_id != customer.legal_entity_id:
        raise Invalid("seller_mismatch", f"{deposit.number} is of another seller.", param="deposits")
    if deposit.currency != currency:
        raise Invalid(
            "currency_mismatch",
            f"{deposit.number} is in {deposit.currency}, the invoice in {currency}.",
            param="deposits",
        )
    check_not_deducted(deposit)


def check_not_deducted(deposit: Invoice) -> None:
    if deposit.settlement.deducted_by is not None:
        raise Conflict(
            "deposit_deducted",
            f"{deposit.number} has been deducted from {deposit.settlement.deducted_by!s}: "
            "that invoice is to be credited.",
        )


def check_settled(deposit: Invoice) -> None:
    """What is deducted is money that is there."""
    if deposit.settlement.status is not Status.SETTLED:
        raise Conflict(
            "deposit_unsettled",
            f"{deposit.settlement.due} is due on {deposit.number}: it can be deducted when it is settled.",
            param="deposits",
        )
    if deposit.settlement.credited >= deposit.total:
        raise Conflict(
            "deposit_credited",
            f"{deposit.number} has been credited in full: nothing of it is left to deduct.",
            param="deposits",
        )


def deduction_of(deposit: Invoice, credited: Mapping[TaxGroup, GroupTax]) -> DepositDeduction:
    left = tuple(_less(tax, credited.get(tax.group)) for tax in deposit.taxes)
    net = sum_of((tax.base for tax in left), deposit.currency)
    tax = sum_of((tax.tax for tax in left), deposit.currency)
    return DepositDeduction(
        invoice_id=deposit.id,
        number=deposit.number,
        issued_on=deposit.issued_on,
        taxes=tuple(tax for tax in left if tax.base or tax.tax),
        net=net,
        tax=tax,
        total=net + tax,
    )


def references_of(deposits: Iterable[Invoice]) -> tuple[DocumentReference, ...]:
    return tuple(
        DocumentReference(
            kind=DocumentKind.INVOICE, id=str(each.id), number=each.number, issued_on=each.issued_on
        )
        for each in deposits
    )


def _less(tax: GroupTax, credited: GroupTax | None) -> GroupTax:
    if credited is None:
        return tax
    return GroupTax(group=tax.group, base=tax.base - credited.base, tax=tax.tax - credited.tax)
