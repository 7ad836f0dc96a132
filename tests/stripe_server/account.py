"""What one Stripe account has in its books, and what happens to it: by the API, its owner, and banks."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count

from tests.stripe_server import shapes
from tests.stripe_server.shapes import Object

VERSION = "2026-10-28.endive"
SMALLEST = 50  # minor units, of a charge in euro
INDEXED = ("customer", "payment_intent", "charge")


class Card(StrEnum):
    """How a saved payment method behaves."""

    OK = "ok"
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    AUTHENTICATION_REQUIRED = "authentication_required"
    REQUIRES_ACTION = "requires_action"  # the intent is left waiting for the customer
    PROCESSING = "processing"  # as a direct debit is, for days
    REFUND_PENDING = "refund_pending"
    REFUND_FAILS = "refund_fails"
    LOST = "lost"  # charged, and nobody hears of it
    REFUND_LOST = "refund_lost"


DECLINED = {
    Card.DECLINED: ("card_declined", "generic_decline"),
    Card.INSUFFICIENT_FUNDS: ("card_declined", "insufficient_funds"),
    Card.AUTHENTICATION_REQUIRED: ("authentication_required", "authentication_required"),
}
PENDING = {Card.PROCESSING: "processing", Card.REQUIRES_ACTION: "requires_action"}
REFUND_STATUS = {Card.REFUND_PENDING: "pending", Card.REFUND_FAILS: "failed"}


class Refused(Exception):
    """An answer that is an error. `is_kept` under the idempotency key, once the work had begun."""

    def __init__(self, status: int, body: Object, *, is_kept: bool = False) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.is_kept = is_kept


class Account:
    def __init__(self, account_id: str = "acct_1Ristourne") -> None:
        self.ahead = timedelta(0)
        self.shape = shapes.account(account_id)
        self.cards: dict[str, Card] = {}
        self.events: list[Object] = []
        self._objects: dict[str, Object] = {}
        self._by: defaultdict[tuple[str, str, str | None], list[Object]] = defaultdict(list)
        self._numbers = count(1)

    # ── its clock ────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **by: float) -> None:
        """`forward(hours=25)`: what is kept for a day is forgotten then."""
        self.ahead += timedelta(**by)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def find(self, object_id: str) -> Object:
        try:
            return self._objects[object_id]
        except KeyError:
            raise _missing(object_id) from None

    def everything(self) -> list[Object]:
        return list(self._objects.values())

    def card_of(self, object_id: str | None) -> Card | None:
        """Of a payment method, or of a payment intent that was paid with one."""
        found = self._objects.get(object_id or "", {})
        return self.cards.get(str(found.get("payment_method") or object_id))

    def of_kind(self, kind: str, **where: str) -> Iterator[Object]:
        """Newest first."""
        field, value = next(iter(where.items()), ("", None))
        found = self._by[kind, field, value] if value is not None else self._by[kind, "", None]
        return (each for each in reversed(found) if all(each.get(name) == is_ for name, is_ in where.items()))

    # ── what the API asks for ────────────────────────────────────────────────────────────────────

    def create_customer(self, sent: Object) -> Object:
        customer = shapes.customer(
            self._id("cus"), created=self._seconds, sent=sent, metadata=_metadata(sent)
        )
        return self._new("customer", customer)

    def create_payment_intent(self, sent: Object) -> Object:
        amount = _amount(sent)
        if amount < SMALLEST:
            raise _invalid("Amount must be at least €0.50 eur", code="amount_too_small", param="amount")
        method = self._method_to_charge(sent)
        intent = shapes.payment_intent(
            self._id("pi"), sent=sent, amount=amount, created=self._seconds, metadata=_metadata(sent)
        )
        self._new("payment_intent", intent)
        if sent.get("confirm") == "true":
            self._confirm(intent, method, self.cards[method["id"]])
        return intent

    def create_refund(self, sent: Object) -> Object:
        charge = self._charge_to_refund(sent)
        left = charge["amount"] - charge["amount_refunded"]
        amount = _amount(sent) if "amount" in sent else left
        if charge["disputed"]:
            raise _invalid("The charge is disputed.", code="charge_disputed")
        if not left:
            raise _invalid("The charge has already been refunded.", code="charge_already_refunded")
        if amount > left:
            raise _invalid("Refund amount is greater than unrefunded amount on charge", param="amount")
        return self._refund(charge, amount, _metadata(sent))

    def create_checkout_session(self, sent: Object) -> Object:
        if sent.get("mode") != "setup":
            raise _invalid("Only the mode setup is played here.", param="mode")
        if "success_url" not in sent:
            raise _invalid("You must provide a success_url.", param="success_url")
        if "currency" not in sent and "payment_method_types" not in sent:
            raise _invalid("In setup mode currency or payment_method_types is needed.", param="currency")
        customer = self.find(sent["customer"])
        setup = shapes.setup_intent(
            self._id("seti"), customer=customer["id"], created=self._seconds, metadata=_metadata(sent)
        )
        self._new("setup_intent", setup)
        session = shapes.checkout_session(
            self._id("cs_test"),
            sent=sent,
            setup_intent=setup["id"],
            created=self._seconds,
            metadata=_metadata(sent),
        )
        return self._keep("checkout.session", session)

    # ── what customers, banks and the owner of the account do ────────────────────────────────────

    def save_method(self, customer: str, card: Card = Card.OK, *, fingerprint: str | None = None) -> str:
        """A payment method of a customer, as if left on a page of Stripe's."""
        method_id = self._id("pm")
        method = shapes.payment_method(
            method_id,
            customer=customer,
            created=self._seconds,
            fingerprint=fingerprint or f"fp{method_id[-14:]}",
        )
        self.cards[method_id] = card
        self._keep("payment_method", method)
        self._happened("payment_method.attached", method)
        return method_id

    def complete_checkout(
        self, session_id: str, card: Card = Card.OK, *, fingerprint: str | None = None
    ) -> str:
        """The customer fills in the page; returns the payment method."""
        session = self.find(session_id)
        setup = self.find(session["setup_intent"])
        method_id = self.save_method(session["customer"], card, fingerprint=fingerprint)
        setup.update(payment_method=method_id, status="succeeded")
        session.update(status="complete", url=None)
        self._happened("setup_intent.succeeded", setup)
        self._happened("checkout.session.completed", session)
        return method_id

    def expire_checkout(self, session_id: str) -> None:
        session = self.find(session_id)
        session.update(status="expired", url=None)
        self._happened("checkout.session.expired", session)

    def charge_in_dashboard(self, customer: str, amount: int, currency: str = "eur") -> Object:
        """A payment nobody of ours knows of."""
        method = self.save_method(customer)
        return self.create_payment_intent(
            {
                "amount": str(amount),
                "currency": currency,
                "customer": customer,
                "payment_method": method,
                "confirm": "true",
                "automatic_payment_methods": {"enabled": "true", "allow_redirects": "never"},
            }
        )

    def refund_in_dashboard(self, intent_id: str, amount: int | None = None) -> Object:
        sent = {"payment_intent": intent_id} | ({} if amount is None else {"amount": str(amount)})
        return self.create_refund(sent)

    def decide_charge(self, intent_id: str, *, succeeded: bool = True) -> None:
        """What was processing is decided by the bank."""
        intent = self.find(intent_id)
        charge = self.find(intent["latest_charge"])
        if succeeded:
            self._collected(intent, charge)
        else:
            charge.update(status="failed", failure_code="payment_method_provider_decline")
            self._declined(intent, charge, "payment_method_provider_decline", None)

    def decide_refund(self, refund_id: str, *, succeeded: bool = True) -> None:
        """Pending is decided; and what had succeeded may still fail, weeks later."""
        refund = self.find(refund_id)
        if succeeded:
            refund.update(status="succeeded", pending_reason=None)
        else:
            self._bounce(refund)
        self._happened("refund.updated" if succeeded else "refund.failed", refund)
        self._happened("charge.refund.updated", refund)

    def dispute(
        self, intent_id: str, amount: int | None = None, *, reason: str = "product_not_received"
    ) -> Object:
        charge = self.find(self.find(intent_id)["latest_charge"])
        charge["disputed"] = True
        dispute = shapes.dispute(
            self._id("dp"),
            charge=charge,
            amount=charge["amount"] if amount is None else amount,
            reason=reason,
            created=self._seconds,
        )
        self._new("dispute", dispute, event="charge.dispute.created")
        self._happened("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, dispute_id: str, *, won: bool) -> None:
        dispute = self.find(dispute_id)
        dispute["status"] = "won" if won else "lost"
        if won:
            self.find(dispute["charge"])["disputed"] = False
            self._happened("charge.dispute.funds_reinstated", dispute)
        self._happened("charge.dispute.closed", dispute)

    # ── within ───────────────────────────────────────────────────────────────────────────────────

    def _method_to_charge(self, sent: Object) -> Object:
        method = self._objects.get(sent.get("payment_method", ""))
        if method is None:
            raise _invalid("No such PaymentMethod", code="resource_missing", param="payment_method")
        if method["customer"] != sent.get("customer"):
            raise _invalid(
                "The customer does not have this payment method.", code="resource_missing", param="customer"
            )
        stays = sent.get("automatic_payment_methods", {}).get("allow_redirects") == "never"
        if not stays and not {"return_url", "payment_method_types"} & set(sent):
            raise _invalid("Payment methods that redirect need a return_url.", param="return_url")
        return method

    def _charge_to_refund(self, sent: Object) -> Object:
        key = sent.get("charge") or self.find(sent.get("payment_intent", "")).get("latest_charge")
        charge = self.find(key) if key else None
        if charge is None or charge["status"] != "succeeded":
            raise _invalid(
                "This PaymentIntent does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
            )
        return charge

    def _confirm(self, intent: Object, method: Object, card: Card) -> None:
        intent["payment_method"] = method["id"]
        if card is Card.REQUIRES_ACTION:
            intent["status"] = "requires_action"
            self._happened("payment_intent.requires_action", intent)
            return
        declined = DECLINED.get(card)
        status = "failed" if declined else "pending" if card in PENDING else "succeeded"
        charge = shapes.charge(
            self._id("ch"),
            intent=intent,
            created=self._seconds,
            status=status,
            failure=declined and declined[0],
        )
        self._keep("charge", charge)
        intent["latest_charge"] = charge["id"]
        if declined:
            self._declined(intent, charge, *declined)
            raise Refused(402, {"error": _card_error(intent)}, is_kept=True)
        if card in PENDING:
            intent["status"] = PENDING[card]
            self._happened("payment_intent.processing", intent)
        else:
            self._collected(intent, charge)

    def _collected(self, intent: Object, charge: Object) -> None:
        charge.update(status="succeeded", paid=True, captured=True, amount_captured=charge["amount"])
        intent.update(status="succeeded", amount_received=intent["amount"])
        self._happened("charge.succeeded", charge)
        self._happened("payment_intent.succeeded", intent)

    def _declined(self, intent: Object, charge: Object, code: str, decline_code: str | None) -> None:
        method = self.find(intent["payment_method"])
        intent.update(
            status="requires_payment_method",
            payment_method=None,
            last_payment_error=shapes.payment_error(
                code, decline_code=decline_code, method=method, charge=charge["id"]
            ),
        )
        self._happened("charge.failed", charge)
        self._happened("payment_intent.payment_failed", intent)

    def _refund(self, charge: Object, amount: int, metadata: Object) -> Object:
        refund = shapes.refund(
            self._id("re"), charge=charge, amount=amount, created=self._seconds, metadata=metadata
        )
        refund["status"] = REFUND_STATUS.get(self.cards[charge["payment_method"]], "succeeded")
        charge["amount_refunded"] += amount
        if refund["status"] == "pending":
            refund["pending_reason"] = "processing"
        if refund["status"] == "failed":
            self._bounce(refund)
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._new("refund", refund)
        self._happened("charge.refunded", charge)
        return refund

    def _bounce(self, refund: Object) -> None:
        """The money comes back to the account."""
        charge = self.find(refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        refund.update(status="failed", failure_reason="declined", pending_reason=None)

    def _new(self, kind: str, made: Object, *, event: str | None = None) -> Object:
        self._keep(kind, made)
        self._happened(event or f"{kind}.created", made)
        return made

    def _keep(self, kind: str, made: Object) -> Object:
        self._objects[made["id"]] = made
        self._by[kind, "", None].append(made)
        for field in INDEXED:
            if made.get(field):
                self._by[kind, field, made[field]].append(made)
        return made

    def _happened(self, kind: str, what: Object) -> None:
        event = shapes.event(
            self._id("evt"), kind=kind, of=copy.deepcopy(what), created=self._seconds, version=VERSION
        )
        self._objects[event["id"]] = event
        self.events.append(event)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_1{next(self._numbers):023d}"

    @property
    def _seconds(self) -> int:
        return int(self.now.timestamp())


def _metadata(sent: Object) -> Object:
    return dict(sent.get("metadata") or {})


def _amount(sent: Object) -> int:
    amount = str(sent.get("amount", ""))
    if not (amount.isascii() and amount.isdigit() and int(amount)):
        raise _invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    return int(amount)


def _card_error(intent: Object) -> Object:
    said: Object = intent["last_payment_error"]
    return {**said, "payment_intent": copy.deepcopy(intent)}


def _invalid(message: str, *, code: str | None = None, param: str | None = None) -> Refused:
    return Refused(400, shapes.error("invalid_request_error", message, code=code, param=param))


def _missing(object_id: str) -> Refused:
    body = shapes.error(
        "invalid_request_error", f"No such object: {object_id!r}", code="resource_missing", param="id"
    )
    return Refused(404, body)
