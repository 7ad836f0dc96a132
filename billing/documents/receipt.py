"""The receipt of an invoice (facture acquittée): its page, with what has settled it.

Not kept: what settles an invoice may change as long as notes on it are applied and dissociated.
"""

import asyncio

from billing.documents import render
from billing.documents.keep import check_ours
from billing.invoices.model import Invoice, Status
from billing.settlement import store as settlements
from kernel.database import Tx
from kernel.errors import Conflict


async def receipt_of(tx: Tx, invoice: Invoice) -> bytes:
    """Raises Conflict `invoice_not_settled`."""
    check_ours(invoice)
    if invoice.settlement.status is not Status.SETTLED:
        raise Conflict(
            "invoice_not_settled",
            f"{invoice.settlement.due} is due on {invoice.number}: there is a receipt when it is paid.",
        )
    receipts = await settlements.receipts(tx, invoice)
    return await asyncio.to_thread(render.receipt_pdf, invoice, receipts)
