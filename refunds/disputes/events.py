"""What happens to disputes."""

from typing import Self

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.events import Event
from kernel.money import Money
from refunds.disputes.model import Dispute, DisputeId


class DisputeEvent(Event, frozen=True, kw_only=True):
    """`invoice_id` is what the payment was for."""

    dispute_id: DisputeId
    payment_id: PaymentId
    invoice_id: InvoiceId | None
    customer_id: CustomerId
    amount: Money

    @classmethod
    def of(cls, dispute: Dispute, invoice_id: InvoiceId | None) -> Self:
        return cls(
            dispute_id=dispute.id,
            payment_id=dispute.payment_id,
            invoice_id=invoice_id,
            customer_id=dispute.customer_id,
            amount=dispute.amount,
        )


class DisputeOpened(DisputeEvent, frozen=True, kw_only=True, tag="dispute.opened"):
    """Evidence can be handed in at the provider, as long as it takes any."""


class DisputeWon(DisputeEvent, frozen=True, kw_only=True, tag="dispute.won"):
    pass


class DisputeLost(DisputeEvent, frozen=True, kw_only=True, tag="dispute.lost"):
    """What the payment had paid is due again."""
