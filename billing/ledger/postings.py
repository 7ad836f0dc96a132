"""Which accounts an act touches. Pure.

VAT on services falls due on receipt unless the seller opted for the debits (CGI art. 269, 2 c): until then
it waits on 4458. What has fallen due of a group is, after every receipt, refund and credit note,

    round_half_up((tax - credited tax) x min(1, received / (total - credited)))        0 when all is credited

with `received` net of refunds; the difference to what is booked so far is booked that day. A credit note
applied to another invoice is a refund on its own and a receipt on the other.

The VAT of a note on no invoice waits in the same way, until what it credits is used:

    round_half_up(tax x min(1, used / total))
"""

from collections.abc import Iterable, Mapping, Sequence

from billing.credit_notes.model import CreditNote, Reason
from billing.invoices.model import Invoice, InvoiceKind
from billing.invoices.totals import Totals
from billing.ledger.model import Account, Balance, Booked, Holder, Posting, TransactionId
from billing.parties.model import VatDue
from billing.tax.model import GroupTax, TaxGroup
from kernel.money import Currency, Money, round_half_up, total, zero

# What an invoice is booked against: all others are sales.
_AGAINST = {InvoiceKind.IMPORTED: Account.OPENING, InvoiceKind.DEPOSIT: Account.DEPOSITS}


def invoice_issued(
    sums: Totals,
    vat_due: VatDue,
    kind: InvoiceKind = InvoiceKind.STANDARD,
    against: Account | None = None,
) -> list[Posting]:
    """`against` is where the note was booked that it takes back."""
    return [
        Posting(account=Account.CUSTOMERS, amount=sums.total),
        Posting(account=against or _AGAINST.get(kind, Account.SERVICES), amount=-sums.net),
        *(_vat(tax, vat_due, sign=-1) for tax in sums.taxes),
    ]


def credit_note_issued(note: CreditNote, kind: InvoiceKind = InvoiceKind.STANDARD) -> list[Posting]:
    """`kind` is of the invoice that it is on: what is credited of a deposit was no sale yet."""
    return [
        Posting(account=_credited_account(note, kind), amount=note.net),
        *(_vat(tax, note.vat_due, sign=1) for tax in note.taxes),
        Posting(account=Account.CUSTOMERS, amount=-note.total),
    ]


def _credited_account(note: CreditNote, kind: InvoiceKind) -> Account:
    if kind is InvoiceKind.DEPOSIT:
        return Account.DEPOSITS
    return Account.OPENING if note.imported else revenue_account(note.reason)


def rebate_taken_off(net: Money, taxes: Iterable[GroupTax], *, paid: Money, vat_due: VatDue) -> list[Posting]:
    """What a rebate over many invoices takes off one of them. What of it had been paid leaves the invoice:
    the customer holds it on the note, which is of no one invoice."""
    taxes = list(taxes)
    whole = sum((tax.tax for tax in taxes), net)
    entries = [
        Posting(account=Account.REBATES_GRANTED, amount=net),
        *(_vat(tax, vat_due, sign=1) for tax in taxes),
        Posting(account=Account.CUSTOMERS, amount=-whole),
        Posting(account=Account.CUSTOMERS, amount=paid),
    ]
    return [entry for entry in entries if entry.amount]


def revenue_account(reason: Reason) -> Account:
    match reason:
        case Reason.REBATE:
            return Account.REBATES_GRANTED
        case Reason.EARLY_PAYMENT:
            return Account.EARLY_PAYMENT_DISCOUNTS
        case _:
            return Account.SERVICES


def money_received(amount: Money) -> list[Posting]:
    return [
        Posting(account=Account.BANK, amount=amount),
        Posting(account=Account.CUSTOMERS, amount=-amount),
    ]


def settled_elsewhere(amount: Money) -> list[Posting]:
    """The customer owes more or less, by what was paid or used before the document was imported."""
    return [
        Posting(account=Account.CUSTOMERS, amount=amount),
        Posting(account=Account.OPENING, amount=-amount),
    ]


def money_given_back(amount: Money) -> list[Posting]:
    return [
        Posting(account=Account.CUSTOMERS, amount=amount),
        Posting(account=Account.BANK, amount=-amount),
    ]


def used_elsewhere(amount: Money) -> list[Posting]:
    """What a customer had to their credit was settled where we do not see it: that is to be explained."""
    return [
        Posting(account=Account.CUSTOMERS, amount=amount),
        Posting(account=Account.SUSPENSE, amount=-amount),
    ]


def customer_owes(amount: Money) -> list[Posting]:
    """One side of an application: the customer owes more on this invoice, or less."""
    return [Posting(account=Account.CUSTOMERS, amount=amount)]


def deposit_closed(balances: Sequence[Balance]) -> list[Posting]:
    """What is left of a deposit, and the VAT on it, leave its books."""
    held = {Account.DEPOSITS, Account.VAT_COLLECTED, Account.VAT_WAITING}
    return [
        Posting(account=each.account, amount=-each.amount, tax=each.tax)
        for each in balances
        if each.account in held and each.amount
    ]


def fallen_due(
    invoice: Invoice,
    balances: Sequence[Balance],
    credited: Mapping[TaxGroup, GroupTax],
    *,
    freed: Money | None = None,
) -> list[Posting]:
    """`invoice` carries its settlement as it is after the act, `credited` what notes took off it until then.

    `freed` is what notes of others get back of it, where that is not in the balances yet. Of a deposit that
    was deducted, the VAT has gone to the invoice that deducts it.
    """
    if invoice.settlement.deducted_by is not None:
        return []
    received = received_of(balances, invoice.currency)
    return vat_fallen_due(
        invoice.taxes,
        credited_tax={group: tax.tax for group, tax in credited.items()},
        released=released_of(balances),
        received=received - freed if freed else received,
        left=invoice.total - invoice.settlement.credited,
    )


def received_of(balances: Iterable[Balance], currency: Currency) -> Money:
    """What came in on an invoice, less what went back."""
    return -total((b.moved for b in balances if b.account is Account.CUSTOMERS), currency)


def released_of(balances: Iterable[Balance]) -> dict[TaxGroup, Money]:
    """The VAT of an invoice that is booked as due."""
    return {b.tax: -b.amount for b in balances if b.account is Account.VAT_COLLECTED and b.tax}


def fallen_due_of_note(note: CreditNote, balances: Sequence[Balance]) -> list[Posting]:
    """Of a note on no invoice, which carries its settlement as it is after the act."""
    return vat_of_note(
        note.taxes,
        released={b.tax: b.amount for b in balances if b.account is Account.VAT_COLLECTED and b.tax},
        used=note.settlement.used,
        total=note.total,
    )


def vat_fallen_due(
    taxes: Iterable[GroupTax],
    *,
    credited_tax: Mapping[TaxGroup, Money],
    released: Mapping[TaxGroup, Money],
    received: Money,
    left: Money,
) -> list[Posting]:
    """Bring what is booked as due to what is due. `left` is the invoice less what is credited of it."""
    postings = []
    for tax in taxes:
        nothing = zero(left.currency)
        remaining = tax.tax - credited_tax.get(tax.group, nothing)
        difference = due_of(remaining, received=received, left=left) - released.get(tax.group, nothing)
        if difference:
            postings += [
                Posting(account=Account.VAT_WAITING, amount=difference, tax=tax.group),
                Posting(account=Account.VAT_COLLECTED, amount=-difference, tax=tax.group),
            ]
    return postings


def due_of(tax: Money, *, received: Money, left: Money) -> Money:
    if not left:
        return zero(left.currency)
    return Money(round_half_up(tax.minor * min(received, left).minor, left.minor), left.currency)


def _vat(tax: GroupTax, due: VatDue, *, sign: int) -> Posting:
    account = Account.VAT_COLLECTED if due is VatDue.ON_INVOICE else Account.VAT_WAITING
    return Posting(account=account, amount=Money(sign * tax.tax.minor, tax.tax.currency), tax=tax.group)


def in_one_transaction(booked: Iterable[tuple[Holder, Posting]]) -> list[Booked]:
    transaction_id = TransactionId.new()
    return [
        Booked(transaction_id=transaction_id, holder=holder, posting=posting) for holder, posting in booked
    ]


def vat_of_note(
    taxes: Iterable[GroupTax], *, released: Mapping[TaxGroup, Money], used: Money, total: Money
) -> list[Posting]:
    """The VAT of a note on no invoice is no longer due as far as it is used: bring what is booked to that."""
    postings = []
    for tax in taxes:
        due = due_of(tax.tax, received=used, left=total)
        difference = due - released.get(tax.group, zero(total.currency))
        if difference:
            postings += [
                Posting(account=Account.VAT_COLLECTED, amount=difference, tax=tax.group),
                Posting(account=Account.VAT_WAITING, amount=-difference, tax=tax.group),
            ]
    return postings
