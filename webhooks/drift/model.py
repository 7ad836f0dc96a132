"""Drift is what differs between a provider's books and ours.

Most of it ends when it is found: ours follows, or what only the provider knew is recorded here. What is left
asks for a person, and says what they can do.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.gateways.connections.model import PaymentConnectionId
from kernel.events import Event
from kernel.ids import Id, JobId
from kernel.money import Currency, Money
from kernel.structs import Input, Value


class DriftReportId(Id, prefix="drf"):
    """One comparison of a provider's books with ours."""


class DriftItemId(Id, prefix="dri"):
    """Something that differed."""


class Done(StrEnum):
    """What was done about it."""

    AGREED = "agreed"  # nothing: both say the same
    MOVED = "moved"  # ours followed theirs
    RECORDED = "recorded"  # only they knew of it, and now it is here too
    LEFT = "left"  # nothing: a person has to look


class Kind(StrEnum):
    """What differs. `unknown` is what we had no record of, `of_nobody` what we cannot even place."""

    CHARGE_STATUS = "charge_status"
    CHARGE_AMOUNT = "charge_amount"
    CHARGE_UNDONE = "charge_undone"
    CHARGE_UNKNOWN = "charge_unknown"
    CHARGE_OF_NOBODY = "charge_of_nobody"
    CHARGE_MISSING = "charge_missing"
    CHARGE_NOT_SENT = "charge_not_sent"
    CHARGE_REFUNDED = "charge_refunded"
    REFUND_STATUS = "refund_status"
    REFUND_AMOUNT = "refund_amount"
    REFUND_MADE_ANYWAY = "refund_made_anyway"
    REFUND_UNKNOWN = "refund_unknown"
    REFUND_OF_NOBODY = "refund_of_nobody"
    REFUND_MISSING = "refund_missing"
    REFUND_NOT_SENT = "refund_not_sent"
    DISPUTE_STATUS = "dispute_status"
    DISPUTE_UNKNOWN = "dispute_unknown"
    DISPUTE_OF_NOBODY = "dispute_of_nobody"


# What a person can do about what is left.
ADVICE: Mapping[Kind, str] = {
    Kind.CHARGE_AMOUNT: (
        "The provider took another amount than was asked for. Refund the difference at the provider, or "
        "record what is missing as a payment."
    ),
    Kind.CHARGE_UNDONE: (
        "We have this money as received, and the provider has not. Open a dispute on the payment and close "
        "it as lost: what it paid is due again."
    ),
    Kind.CHARGE_UNKNOWN: (
        "Money came in at the provider, and it could not be recorded. Record it as a payment of the customer."
    ),
    Kind.CHARGE_OF_NOBODY: (
        "Money came in from somebody who is no customer here. If they are, record it as their payment; if it "
        "is of another business on the same account, there is nothing to do."
    ),
    Kind.CHARGE_MISSING: (
        "The provider does not know this payment. See whether the connection leads to the account that "
        "took it."
    ),
    Kind.CHARGE_NOT_SENT: (
        "This payment waits, and the provider has never heard of it. See in the list of jobs why it is not "
        "sent, and have it tried again."
    ),
    Kind.CHARGE_REFUNDED: (
        "Of this payment the provider gave back another amount than we know of. Compare its refunds there "
        "with GET /v1/refunds."
    ),
    Kind.REFUND_AMOUNT: (
        "The provider gave back another amount than was asked for. Give back what is missing by hand, or ask "
        "the customer for what was too much."
    ),
    Kind.REFUND_MADE_ANYWAY: (
        "The provider made this refund, and here it was decided otherwise. If it failed here, record it as "
        "external; if it was given back a second time, ask the customer for it."
    ),
    Kind.REFUND_UNKNOWN: (
        "Somebody gave money back at the provider, and it could not be recorded. Issue a credit note for it "
        "with the part that was already refunded."
    ),
    Kind.REFUND_OF_NOBODY: (
        "This refund is of a payment that we do not know. If the payment is of a customer here, record both; "
        "if it is of another business on the same account, there is nothing to do."
    ),
    Kind.REFUND_MISSING: (
        "The provider does not know this refund. See whether the connection leads to the account that "
        "made it."
    ),
    Kind.REFUND_NOT_SENT: (
        "This refund waits, and the provider has never heard of it. See in the list of jobs why it is not "
        "sent, and have it tried again."
    ),
    Kind.DISPUTE_STATUS: (
        "The provider says otherwise about a dispute that was closed here. See what became of it there; "
        "money that moved is recorded as a payment or a refund."
    ),
    Kind.DISPUTE_UNKNOWN: (
        "The customer's bank disputes this payment, and it could not be recorded. Open the dispute on the "
        "payment."
    ),
    Kind.DISPUTE_OF_NOBODY: (
        "This dispute is about a payment that we do not know. Answer it at the provider."
    ),
}


class Finding(Value, frozen=True, kw_only=True):
    """What comparing one object came to. `reference` is the provider's name of it, `our_id` our own.

    `detail` is the code of a refusal, where recording it was refused.
    """

    kind: Kind
    done: Done
    reference: str
    our_id: str | None = None
    ours: Money | None = None
    theirs: Money | None = None
    detail: str | None = None


class Status(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # its job was given up; another report can be asked for


class NewReconciliation(Input, frozen=True, kw_only=True):
    """Of a connection, or of the newest that works.

    Without `since` from three days before the last one; the first time from thirty days ago.
    """

    payment_connection: PaymentConnectionId | None = None
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class DriftReport(Value, frozen=True, kw_only=True):
    """What was made at the provider since a time, against ours. `compared` is how much of it there was.

    `moved`, `recorded` and `left` count what differed by what was done about it: `left` asks for a person.
    `attempts` and `last_error` are of the job that compares, as far as it is kept.
    """

    id: DriftReportId
    provider: str
    payment_connection_id: PaymentConnectionId
    status: Status
    since: datetime
    requested_at: datetime
    ended_at: datetime | None
    compared: int
    moved: int
    recorded: int
    left: int
    job_id: JobId
    attempts: int
    last_error: str | None


class DriftItem(Value, frozen=True, kw_only=True):
    """`reference` is the provider's name of what differs, `our_id` ours; the amounts are ours and theirs.

    `detail` is the code of the refusal where recording it was refused, `advice` what a person can do.
    """

    id: DriftItemId
    drift_report_id: DriftReportId
    kind: Kind
    done: Done
    reference: str
    our_id: str | None
    currency: Currency | None
    ours: Money | None
    theirs: Money | None
    detail: str | None
    advice: str | None = None


class DriftReported(Event, frozen=True, kw_only=True, tag="drift_report.done"):
    """A provider's books were compared with ours; `left` are the differences that ask for a person."""

    drift_report_id: DriftReportId
    moved: int
    recorded: int
    left: int
