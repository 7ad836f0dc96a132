"""What an offer was for has come about: the first invoice that asked for money is paid."""

from billing.invoices.model import InvoiceId
from kernel import outbox
from kernel.database import Tx
from promotions.events import RedemptionConverted
from subscriptions import offer_store


async def convert_offers(tx: Tx, invoice_id: InvoiceId) -> None:
    """Of the subscription that the invoice is for, if it is for one; the second time there is none left."""
    converted = await offer_store.mark_converted(tx, invoice_id)

    outbox.publish(
        tx,
        *(
            RedemptionConverted(
                offer_id=each.offer_id,
                redemption_id=each.id,
                customer_id=each.customer_id,
                invoice_id=invoice_id,
            )
            for each in converted
        ),
    )
