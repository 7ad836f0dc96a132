"""Deducting deposits from the final invoice.

The deposit's books are closed: what it holds on 4191, and its VAT, which had fallen due. In the books of the
final invoice it is a receipt, so that its own VAT falls due by as much.
"""

from collections.abc import Sequence

from billing.credit_notes import store as credit_notes
from billing.deposits import rules
from billing.deposits.events import DepositDeducted
from billing.invoices import store as invoices
from billing.invoices.model import DepositDeduction, Invoice, InvoiceId
from billing.ledger import postings
from billing.ledger import store as ledger
from billing.ledger.book import release_vat
from billing.ledger.model import Source, holder_of
from billing.parties.model import Customer
from billing.settlement import store as settlements
from billing.settlement.apply import day_of
from kernel import outbox
from kernel.database import Tx
from kernel.money import Currency


async def check_deposits(tx: Tx, ids: Sequence[InvoiceId], customer: Customer, currency: Currency) -> None:
    """Of a draft: what can never be deducted is refused already, what is not settled may still be."""
    rules.check_named_once([str(each) for each in ids])
    for deposit_id in ids:
        rules.check(await invoices.get(tx, deposit_id), customer, currency)


async def lock_deposits(
    tx: Tx, ids: Sequence[InvoiceId], customer: Customer, currency: Currency
) -> tuple[list[Invoice], tuple[DepositDeduction, ...]]:
    """Locked until they are deducted, the oldest first; and what is deducted of each."""
    if not ids:
        return [], ()
    deposits = list(reversed(await invoices.lock_many(tx, ids, with_lines=False)))
    credited = await credit_notes.taxes_of_invoices(tx, ids)

    for deposit in deposits:
        rules.check(deposit, customer, currency)
        rules.check_settled(deposit)
    return deposits, tuple(rules.deduction_of(each, credited.get(each.id, {})) for each in deposits)


async def deduct(tx: Tx, invoice: Invoice, deposits: Sequence[Invoice]) -> None:
    """`invoice` has just been issued with its deductions, and has been paid by as much."""
    balances = await ledger.balances_of(tx, [deposit.id for deposit in deposits])
    today = day_of(tx, invoice)

    for deposit, deduction in zip(deposits, invoice.deductions, strict=True):
        settlement_id = await settlements.insert(tx, invoice.id, deduction.total, deposit_id=deposit.id)
        await invoices.mark_deducted(tx, deposit.id, by=invoice.id)
        booked = postings.in_one_transaction(
            [
                *((holder_of(deposit), each) for each in postings.deposit_closed(balances[deposit.id])),
                *((holder_of(invoice), each) for each in postings.customer_owes(-deduction.total)),
            ]
        )
        label = f"{deposit.number} deducted from {invoice.number}"
        await ledger.insert(tx, booked, Source.DEPOSIT, settlement_id, label=label, booked_on=today)
        await release_vat(tx, invoice, Source.DEPOSIT, settlement_id, booked_on=today)
        outbox.publish(
            tx,
            DepositDeducted(
                deposit_id=deposit.id,
                invoice_id=invoice.id,
                customer_id=invoice.customer_id,
                amount=deduction.total,
            ),
        )
