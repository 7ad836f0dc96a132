"""A refund gives money back, on one payment or past us.

scheduled ──▶ pending | cancelled
pending   ──▶ succeeded | failed
succeeded ──▶ failed                                                     (the provider says so later)
failed    ──▶ retried | converted_to_balance | recorded_external | cancelled

A part recorded by hand is born succeeded. `retried` is final: the new refund is another row.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec

from billing.credit_notes.model import CreditNote, CreditNoteId, NewCreditNote, NewGlobalCreditNote, Reason
from billing.invoices.model import CorrectedLine, Invoice, InvoiceId, NewDiscount
from billing.parties.model import CustomerId, Metadata, Proration, RefundMode
from billing.payments.model import Means, OutsideMeans, PaymentId
from kernel.decimals import Quantity
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name, Note
from promotions.rebates.model import RebateContractId, RebateSettlement
from subscriptions.model import NewAddons, Subscription


class RefundId(Id, prefix="re", logged=True):
    """A refund."""


class Status(StrEnum):
    SCHEDULED = "scheduled"  # due on a day to come
    PENDING = "pending"  # to be sent, or sent and not yet answered
    SUCCEEDED = "succeeded"  # the customer has the money
    FAILED = "failed"  # the money stayed with us, and is held until somebody decides
    CANCELLED = "cancelled"
    RETRIED = "retried"
    CONVERTED_TO_BALANCE = "converted_to_balance"
    RECORDED_EXTERNAL = "recorded_external"


NEXT: dict[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.PENDING, Status.CANCELLED}),
    Status.PENDING: frozenset({Status.SUCCEEDED, Status.FAILED}),
    Status.SUCCEEDED: frozenset({Status.FAILED}),
    Status.FAILED: frozenset(
        {Status.RETRIED, Status.CONVERTED_TO_BALANCE, Status.RECORDED_EXTERNAL, Status.CANCELLED}
    ),
    Status.CANCELLED: frozenset(),
    Status.RETRIED: frozenset(),
    Status.CONVERTED_TO_BALANCE: frozenset(),
    Status.RECORDED_EXTERNAL: frozenset(),
}


class Refund(Value, frozen=True, kw_only=True):
    """`payment_id` is null for money that went back past us, `invoice_id` for what a rebate gives back.

    `retry_of` is the refund that failed and whose place this one takes. A `blocked` one waits for the end of
    a dispute about its payment. One `of_rest` gives back money that is on no invoice, without a credit note.
    """

    id: RefundId
    credit_note_id: CreditNoteId | None
    payment_id: PaymentId | None
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    currency: Currency
    amount: Money
    mode: RefundMode
    status: Status
    due_on: date
    means: Means
    reference: str | None
    gateway_reference: str | None
    failure_code: str | None
    created_at: datetime
    succeeded_on: date | None
    retry_of: RefundId | None = None
    blocked: bool = False
    of_rest: bool = False

    def to(self, status: Status, **changes: object) -> Self:
        """This refund in another state. Raises Conflict `refund_state`."""
        if status not in NEXT[self.status]:
            raise Conflict("refund_state", f"A {self.status} refund cannot be {status}.")
        return msgspec.structs.replace(self, status=status, **changes)

    def waiting(self, *, blocked: bool) -> Self:
        return msgspec.structs.replace(self, blocked=blocked)

    def on(self, day: date) -> Self:
        return msgspec.structs.replace(self, due_on=day)


class Known(Value, frozen=True, kw_only=True):
    """A refund by its two names: ours, and the provider's as far as it has told us."""

    id: RefundId
    gateway_reference: str | None
    status: Status


class GivenBack(Value, frozen=True, kw_only=True):
    """What became of a credit note: refunds under way, and what is to go back by hand.

    `to_refund_by_hand` was promised; record it with POST /v1/credit_notes/{id}/refunds as it goes.
    """

    credit_note: CreditNote
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class RetriedRefund(Value, frozen=True, kw_only=True):
    """The refund that had failed, and those that take its place."""

    retried: Refund
    refunds: tuple[Refund, ...]


class NewCorrection(Input, frozen=True, kw_only=True):
    """What is billed in place of an invoice, as POST /v1/invoices/{id}/fix takes it."""

    lines: Annotated[list[CorrectedLine], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    discounts: Annotated[list[NewDiscount], msgspec.Meta(max_length=20)] = []
    note: Note | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | None = None


class NewFix(NewCorrection, frozen=True, kw_only=True):
    """What is billed in place of an invoice that was wrong. Without `lines` it is what was billed before.

    The customer is as they are now, and prices are net or gross as before. `note` and `metadata` stay as they
    were unless they are sent. `refund` says where money goes that was paid beyond the new total, instead of
    the settings; `refund_on` is the day of a deferred refund.
    """

    reason: Reason
    reason_text: Note | None = None
    refund: RefundMode | None = None
    refund_on: date | None = None


class NewRejection(Input, frozen=True, kw_only=True):
    """The e-invoicing platform rejected an invoice, today unless `rejected_on` says when.

    A note takes all of it back, with the platform's reason. With `correct` another invoice stands in its
    place in the same act. `refund` says where money goes that was paid, instead of the settings.
    """

    reason_text: Note
    reason_code: Name | None = None
    rejected_on: date | None = None
    platform_reference: Name | None = None
    correct: NewCorrection | None = None
    refund: RefundMode | None = None
    refund_on: date | None = None


class RejectedInvoice(Value, frozen=True, kw_only=True):
    """The invoice with its rejection; the note that took it back, if anything of it was left to take."""

    invoice: Invoice
    credit_note: CreditNote | None
    corrected: Invoice | None
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class FixedInvoice(Value, frozen=True, kw_only=True):
    """`invoice` stands in place of the one that `credit_note` took back, and names both."""

    invoice: Invoice
    credit_note: CreditNote
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class RebateGiven(Value, frozen=True, kw_only=True):
    """A credit note, or the invoice that takes something back: its `number`, VAT and total."""

    settlement: RebateSettlement
    number: str
    tax: Money
    total: Money
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class SettledRebate(Value, frozen=True, kw_only=True):
    """What was settled now; nothing when nothing has become due since the last time."""

    contract_id: RebateContractId
    settlements: tuple[RebateGiven, ...]


class Credit(StrEnum):
    """What of the current period's invoices a cancellation credits."""

    NONE = "none"
    PRORATED = "prorated"  # the unused days of its recurring lines
    FULL = "full"  # all that is left of it


class When(StrEnum):
    """When a cancellation takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"
    AT = "at"  # at the time `at`
    TERM_END = "term_end"  # of the minimum term, or now when that is over


class NewCancellation(Input, frozen=True, kw_only=True):
    """Cancel now, at the end of the current period, or at a time. Until it takes effect it can be undone.

    Before the end of a minimum term only with `override_term`. `refund` overrides the tenant's refund mode,
    `refund_on` is the day of a deferred one.
    """

    when: When = When.NOW
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    override_term: bool = False
    credit: Credit = Credit.PRORATED
    refund: RefundMode | None = None
    refund_on: date | None = None
    reason_text: Note | None = None


class Cancellation(Value, frozen=True, kw_only=True):
    """A credit note for each invoice of the period of which there was something to credit.

    `invoice` is of what was used and not billed yet, where that costs anything.
    """

    subscription: Subscription
    invoice: Invoice | None
    credit_notes: tuple[CreditNote, ...]
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class ChangeWhen(StrEnum):
    """When a change takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"


class NewChange(Input, frozen=True, kw_only=True):
    """Another plan, quantity or add-ons; now, or with the next period. Until then it can be undone.

    `addons` are all that it is to have from then on, with their quantities; without, it keeps those it has.

    Now, the unused part of what was billed is credited and the rest of the period billed on the new terms,
    counted as `proration` says, or else the settings. What the credit notes leave pays the new invoice,
    unless `refund` says where it goes; `refund_on` is the day of a deferred refund. Its own plan, and
    add-ons it has, stay in the version it agreed to, unless those named are to take the `newest_version`.
    """

    plan: str | None = None
    quantity: Quantity | None = None
    addons: NewAddons | None = None
    newest_version: bool = False
    when: ChangeWhen = ChangeWhen.NOW
    proration: Proration | None = None
    refund: RefundMode | None = None
    refund_on: date | None = None
    reason_text: Note | None = None


class Change(Value, frozen=True, kw_only=True):
    """`invoice` is null when nothing of the period is left to bill, or nothing is billed yet.

    `usage_invoice` is of what was used on the plan before, where that costs anything.
    """

    subscription: Subscription
    credit_notes: tuple[CreditNote, ...]
    invoice: Invoice | None
    usage_invoice: Invoice | None
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class PauseWhen(StrEnum):
    """When a pause begins."""

    NOW = "now"
    PERIOD_END = "period_end"


class PauseCredit(StrEnum):
    """What of the current period's invoices a pause credits."""

    NONE = "none"  # resumed before its end, the period goes on
    PRORATED = "prorated"  # the unused days of its recurring lines; resumed, a new period begins


class NewSubscriptionPause(Input, frozen=True, kw_only=True):
    """Pause now or at the end of the current period; without `resume_at` until it is resumed by a call.

    `refund` is of what `credit` gives back: it overrides the tenant's refund mode.
    """

    when: PauseWhen = PauseWhen.NOW
    resume_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    credit: PauseCredit = PauseCredit.NONE
    refund: RefundMode | None = None
    refund_on: date | None = None
    reason_text: Note | None = None


class SubscriptionPause(Value, frozen=True, kw_only=True):
    """A credit note for each invoice of the period of which there was something to credit."""

    subscription: Subscription
    credit_notes: tuple[CreditNote, ...]
    refunds: tuple[Refund, ...]
    to_refund_by_hand: Money


class NewManualRefund(Input, frozen=True, kw_only=True):
    """A part of a credit note that went back past us. Without `amount` it is all that is promised."""

    means: OutsideMeans
    amount: Money | None = None
    refunded_on: date | None = None
    reference: Name | None = None


class NewDay(Input, frozen=True, kw_only=True):
    """The day on which a scheduled refund is sent: today, or one of the year to come."""

    due_on: date


class NewRetry(Input, frozen=True, kw_only=True):
    """Over the same payment, or over those named, in their order, each within what is left of it."""

    payments: Annotated[list[PaymentId], msgspec.Meta(min_length=1, max_length=20)] | None = None


class NewExternalRefund(Input, frozen=True, kw_only=True):
    """How and when the amount of a failed refund went back past us after all."""

    means: OutsideMeans
    refunded_on: date | None = None
    reference: Name | None = None


class NewCredit(NewCreditNote, frozen=True, kw_only=True):
    """`already_refunded`: what has gone back past us before, with the mode `manual`."""

    already_refunded: Annotated[list[NewManualRefund], msgspec.Meta(max_length=20)] = []


class NewCustomerCredit(NewGlobalCreditNote, frozen=True, kw_only=True):
    """`already_refunded`: what has gone back past us before, with the mode `manual`."""

    already_refunded: Annotated[list[NewManualRefund], msgspec.Meta(max_length=20)] = []


class NewNoteRefund(Input, frozen=True, kw_only=True):
    """Give back what is left of a credit note. Without `amount` it is all of it.

    `automatic` and `deferred` also take what was promised by hand, and first; `none` takes it back into the
    balance.
    """

    mode: RefundMode
    amount: Money | None = None
    refund_on: date | None = None


class NewLink(Input, frozen=True, kw_only=True):
    """The credit note that a refund made at the provider is of."""

    credit_note: CreditNoteId


class NewPaymentRefund(Input, frozen=True, kw_only=True):
    """Give back what of a payment is matched with no invoice. Without `amount` it is all of it.

    Through the provider, now or on the day `refund_on`; with `means` it is recorded as gone back past us.
    """

    amount: Money | None = None
    refund_on: date | None = None
    means: OutsideMeans | None = None
    refunded_on: date | None = None
    reference: Name | None = None
