"""Why each offer came off an invoice, or did not."""

from collections import defaultdict

from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.money import Money, total
from kernel.structs import Value
from promotions.basket import Refusal
from subscriptions.backtests import store


class Discount(Value, frozen=True, kw_only=True):
    """What came off in all, by its `source`: the reference of an offer, or a discount of a draft."""

    source: str
    name: str
    amount: Money


class InvoiceDiscounts(Value, frozen=True, kw_only=True):
    """`refused` are the offers its customer held then, and why nothing came off by them."""

    invoice_id: InvoiceId
    applied: tuple[Discount, ...]
    refused: tuple[Refusal, ...]


async def discounts_of(tx: Tx, invoice_id: InvoiceId) -> InvoiceDiscounts:
    invoice = await invoices.get(tx, invoice_id)
    decided = await store.decided(tx, invoice_id)

    amounts: dict[tuple[str, str], list[Money]] = defaultdict(list)
    for line in invoice.lines:
        for allowance in line.allowances:
            amounts[allowance.source, allowance.name].append(allowance.amount)
    return InvoiceDiscounts(
        invoice_id=invoice.id,
        applied=tuple(
            Discount(source=source, name=name, amount=total(parts, invoice.currency))
            for (source, name), parts in amounts.items()
        ),
        refused=decided.decision.refusals if decided else (),
    )
