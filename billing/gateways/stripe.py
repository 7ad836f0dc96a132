"""Stripe: off-session PaymentIntents on saved payment methods, refunds, and a page of its own to save one.

A charge goes by the id of its PaymentIntent. Our own id is the idempotency key, which Stripe keeps for a day,
and stands in the metadata, which it keeps for good: `find_…` lists what the customer (or the charge) has
since the request and compares that. Its Search would be shorter, and may not know yet what was just done.

    our outcome    PaymentIntent                                            Refund
    succeeded      succeeded                                                succeeded
    pending        processing, requires_capture                             pending, requires_action
    failed         requires_payment_method, requires_action, canceled       failed, canceled
"""

from collections.abc import AsyncIterator, Awaitable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import stripe
from stripe.params import CustomerCreateParams, PaymentIntentCreateParams, PaymentIntentListParams

from billing.gateways.model import (
    Charge,
    ChargeIntent,
    Checkout,
    CheckoutIntent,
    DisputeMade,
    DisputeStatus,
    GatewayRefused,
    GatewayTimeout,
    MethodSaved,
    Outcome,
    Payer,
    RefundIntent,
    RefundMade,
    Status,
)
from billing.gateways.stripe_amounts import from_stripe, to_stripe
from billing.gateways.stripe_http import StripeHttp
from kernel.ids import Id
from kernel.money import Money

T = TypeVar("T")

OUR_ID = "ristourne_id"
PAGE = 100
MOST_REMEMBERED = 10_000
CLOCKS_DIFFER_BY = timedelta(minutes=10)

_CHARGES = {
    "succeeded": Status.SUCCEEDED,
    "processing": Status.PENDING,
    "requires_capture": Status.PENDING,
}
_REFUNDS = {
    "succeeded": Status.SUCCEEDED,
    "pending": Status.PENDING,
    "requires_action": Status.PENDING,
}
# The others are inquiries, and what was prevented: no money was taken from us.
_DISPUTES = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
_BEST_FIRST = (Status.SUCCEEDED, Status.PENDING, Status.FAILED)


class Rejected(Exception):
    """Stripe has understood, and says no. `reference` is of the PaymentIntent that was made all the same."""

    def __init__(self, code: str | None, param: str | None, reference: str) -> None:
        super().__init__(code)
        self.code = code
        self.param = param
        self.reference = reference


class Stripe:
    """One account. `api` is where it is reached, if not at Stripe's own address."""

    def __init__(
        self,
        secret_key: str,
        http: StripeHttp,
        *,
        name: str = "stripe",
        api: str = "https://api.stripe.com",
    ) -> None:
        self.name = name
        # A payment method is one customer's for good: it can be detached, and never be another's.
        self._owners: dict[str, str] = {}
        self._client = stripe.StripeClient(
            secret_key, http_client=http, base_addresses={"api": api}, max_network_retries=0
        ).v1

    def __repr__(self) -> str:
        return "Stripe(…)"

    # ── charges ──────────────────────────────────────────────────────────────────────────────────

    async def charge(self, intent: ChargeIntent) -> Outcome:
        units = to_stripe(intent.amount)
        if units is None:
            return _failed("amount_not_chargeable")
        params: PaymentIntentCreateParams = {
            "amount": units,
            "currency": intent.amount.currency.lower(),
            "payment_method": intent.payment_method,
            "confirm": True,
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {OUR_ID: str(intent.id)},
        }
        if (owner := await self._owner_of(intent)) is not None:
            params["customer"] = owner
        try:
            made = await _asked(
                self._client.payment_intents.create_async(params, {"idempotency_key": str(intent.id)})
            )
        except Rejected as rejected:
            return _failed(_why_not_charged(rejected), rejected.reference)
        return _outcome_of_charge(made)

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None:
        params: PaymentIntentListParams = {"limit": PAGE, "created": _since(intent.requested_at)}
        if (owner := await self._owner_of(intent)) is not None:
            params["customer"] = owner
        listed = self._client.payment_intents.list_async(params)
        return _best([_outcome_of_charge(each) async for each in _all(listed) if _is_ours(each, intent.id)])

    async def _owner_of(self, intent: ChargeIntent) -> str | None:
        """The customer whose payment method it is, also one that was collected without us."""
        if intent.customer is not None:
            return intent.customer
        if intent.payment_method not in self._owners:
            method = await _found(self._client.payment_methods.retrieve_async(intent.payment_method))
            owner = _id_of(method.customer) if method else ""
            if not owner:
                return None
            if len(self._owners) >= MOST_REMEMBERED:
                self._owners.clear()
            self._owners[intent.payment_method] = owner
        return self._owners[intent.payment_method]

    # ── refunds ──────────────────────────────────────────────────────────────────────────────────

    async def refund(self, intent: RefundIntent) -> Outcome:
        units = to_stripe(intent.amount)
        if units is None:
            return _failed("amount_not_refundable")
        try:
            made = await _asked(
                self._client.refunds.create_async(
                    {
                        "payment_intent": intent.charge,
                        "amount": units,
                        "metadata": {OUR_ID: str(intent.id)},
                    },
                    {"idempotency_key": str(intent.id)},
                )
            )
        except Rejected as rejected:
            return _failed(rejected.code or "charge_not_refundable")
        return _outcome_of_refund(made)

    async def find_refund(self, intent: RefundIntent) -> Outcome | None:
        listed = self._client.refunds.list_async(
            {"limit": PAGE, "created": _since(intent.requested_at), "payment_intent": intent.charge}
        )
        return _best([_outcome_of_refund(each) async for each in _all(listed) if _is_ours(each, intent.id)])

    # ── payers and the payment methods they leave ────────────────────────────────────────────────

    async def account(self) -> str:
        """Whose key it is. Raises GatewayRefused when the key is not let in."""
        found = await _asked(self._client.accounts.retrieve_current_async())
        return found.id

    async def create_payer(self, payer: Payer) -> str:
        params: CustomerCreateParams = {"name": payer.name, "metadata": {OUR_ID: str(payer.id)}}
        if payer.email is not None:
            params["email"] = payer.email
        made = await _asked(self._client.customers.create_async(params, {"idempotency_key": payer.key}))
        return made.id

    async def open_checkout(self, intent: CheckoutIntent) -> Checkout:
        """A page of Stripe's on which the customer leaves a payment method. Nothing is paid there."""
        made = await _asked(
            self._client.checkout.sessions.create_async(
                {
                    "mode": "setup",
                    "customer": intent.payer,
                    "currency": intent.currency.lower(),
                    "success_url": intent.success_url,
                    "cancel_url": intent.cancel_url,
                    "client_reference_id": str(intent.id),
                    "metadata": {OUR_ID: str(intent.customer_id)},
                },
                {"idempotency_key": str(intent.id)},
            )
        )
        if made.url is None:
            raise GatewayRefused("checkout_not_open")
        return Checkout(reference=made.id, url=made.url, expires_at=_time(made.expires_at))

    # ── what is in its books ─────────────────────────────────────────────────────────────────────

    async def charge_of(self, reference: str) -> Charge | None:
        if reference.startswith(("ch_", "py_")):
            made = await _found(self._client.charges.retrieve_async(reference))
            reference = _id_of(made.payment_intent) if made else ""
        if not reference:
            return None
        found = await _found(
            self._client.payment_intents.retrieve_async(reference, {"expand": ["latest_charge"]})
        )
        return _charge(found) if found else None

    async def refund_of(self, reference: str) -> RefundMade | None:
        found = await _found(self._client.refunds.retrieve_async(reference))
        return _refund(found) if found else None

    async def dispute_of(self, reference: str) -> DisputeMade | None:
        found = await _found(self._client.disputes.retrieve_async(reference))
        return _dispute(found) if found else None

    async def method_of(self, checkout: str) -> MethodSaved | None:
        found = await _found(
            self._client.checkout.sessions.retrieve_async(
                checkout, {"expand": ["setup_intent.payment_method"]}
            )
        )
        return _method(found) if found else None

    async def charges_since(self, at: datetime) -> AsyncIterator[Charge]:
        listed = self._client.payment_intents.list_async(
            {"limit": PAGE, "created": _since(at), "expand": ["data.latest_charge"]}
        )
        async for each in _all(listed):
            if (charge := _charge(each)) is not None:
                yield charge

    async def refunds_since(self, at: datetime) -> AsyncIterator[RefundMade]:
        listed = self._client.refunds.list_async({"limit": PAGE, "created": _since(at)})
        async for each in _all(listed):
            if (refund := _refund(each)) is not None:
                yield refund

    async def disputes_since(self, at: datetime) -> AsyncIterator[DisputeMade]:
        listed = self._client.disputes.list_async({"limit": PAGE, "created": _since(at)})
        async for each in _all(listed):
            if (dispute := _dispute(each)) is not None:
                yield dispute


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────


async def _asked(call: Awaitable[T]) -> T:
    """Raises GatewayTimeout, GatewayRefused or Rejected: errors of ours, which hold no key and no person."""
    try:
        return await call
    except stripe.StripeError as error:
        said = _said(error)
    raise said  # out here, so that the SDK's error does not hang on to it


async def _found(call: Awaitable[T]) -> T | None:
    try:
        return await _asked(call)
    except Rejected as rejected:
        if rejected.code == "resource_missing":
            return None
        raise GatewayRefused(rejected.code or "request_invalid") from None


async def _all(call: "Awaitable[stripe.ListObject[Any]]") -> AsyncIterator[Any]:
    """Page by page, newest first."""
    page = await _listed(call)
    while True:
        for each in page.data:
            yield each
        if not page.has_more:
            return
        page = await _listed(page.next_page_async())


async def _listed(call: "Awaitable[stripe.ListObject[Any]]") -> "stripe.ListObject[Any]":
    try:
        return await _asked(call)
    except Rejected as rejected:
        if rejected.code == "resource_missing":  # of a customer or a charge it does not know
            return stripe.ListObject.construct_from({"data": [], "has_more": False}, None)
        raise GatewayRefused(rejected.code or "request_invalid") from None


def _said(error: stripe.StripeError) -> GatewayTimeout | GatewayRefused | Rejected:
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return GatewayRefused("gateway_key_refused")
    if isinstance(error, stripe.RateLimitError):
        return GatewayRefused("gateway_busy")
    if isinstance(error, stripe.CardError | stripe.InvalidRequestError):
        said = error.error
        intent = getattr(said, "payment_intent", None)
        decline_code = getattr(said, "decline_code", None)
        return Rejected(decline_code or error.code, error.param, intent.id if intent else "")
    # Not reached, broken over there, or the same key is under way: it may have been done.
    return GatewayTimeout(type(error).__name__)


def _why_not_charged(rejected: Rejected) -> str:
    if rejected.code == "resource_missing" and rejected.param in ("payment_method", "customer"):
        return "payment_method_unknown"
    return rejected.code or "request_invalid"


def _since(at: datetime) -> Any:
    return {"gte": int((at - CLOCKS_DIFFER_BY).timestamp())}


# ── understanding ────────────────────────────────────────────────────────────────────────────────────


def _is_ours(made: Any, our_id: Id) -> bool:
    return _our_id(made.metadata) == str(our_id)


def _our_id(metadata: Any) -> str | None:
    return metadata.to_dict().get(OUR_ID) if metadata else None


def _best(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Money that moved counts, whatever else was tried under the same id."""
    return min(outcomes, key=lambda outcome: _BEST_FIRST.index(outcome.status), default=None)


def _failed(code: str, reference: str = "") -> Outcome:
    return Outcome(status=Status.FAILED, reference=reference, failure_code=code)


def _outcome_of_charge(made: stripe.PaymentIntent) -> Outcome:
    status, failure_code = _state_of(made)
    return Outcome(status=status, reference=made.id, failure_code=failure_code)


def _state_of(made: stripe.PaymentIntent) -> tuple[Status, str | None]:
    """Nobody is there to do what `requires_action` asks for."""
    status = _CHARGES.get(made.status, Status.FAILED)
    if status is not Status.FAILED:
        return status, None
    error = made.last_payment_error
    said = (getattr(error, "decline_code", None) or getattr(error, "code", None)) if error else None
    return status, said or ("canceled" if made.status == "canceled" else "authentication_required")


def _outcome_of_refund(made: stripe.Refund) -> Outcome:
    status = _REFUNDS.get(made.status or "", Status.FAILED)
    return Outcome(status=status, reference=made.id, failure_code=_why_not_refunded(made, status))


def _why_not_refunded(made: stripe.Refund, status: Status) -> str | None:
    if status is not Status.FAILED:
        return None
    return getattr(made, "failure_reason", None) or made.status or "refund_failed"


def _charge(made: stripe.PaymentIntent) -> Charge | None:
    charge = made.latest_charge
    back = charge.amount_refunded if isinstance(charge, stripe.Charge) else 0
    method = made.payment_method or (charge.payment_method if isinstance(charge, stripe.Charge) else None)
    amount, refunded = from_stripe(made.amount, made.currency), from_stripe(back, made.currency)
    if amount is None or refunded is None:
        return None
    status, failure_code = _state_of(made)
    return Charge(
        reference=made.id,
        our_id=_our_id(made.metadata),
        customer=_id_of(made.customer) or None,
        payment_method=_id_of(method) or None,
        amount=amount,
        refunded=refunded,
        status=status,
        failure_code=failure_code,
        created_at=_time(made.created),
    )


def _refund(made: stripe.Refund) -> RefundMade | None:
    amount = from_stripe(made.amount, made.currency)
    charge = _id_of(made.payment_intent)
    if amount is None or not charge:
        return None
    status = _REFUNDS.get(made.status or "", Status.FAILED)
    return RefundMade(
        reference=made.id,
        our_id=_our_id(made.metadata),
        charge=charge,
        amount=amount,
        status=status,
        failure_code=_why_not_refunded(made, status),
        created_at=_time(made.created),
    )


def _dispute(made: stripe.Dispute) -> DisputeMade | None:
    amount: Money | None = from_stripe(made.amount, made.currency)
    status = _DISPUTES.get(made.status)
    charge = _id_of(made.payment_intent)
    if amount is None or status is None or not charge:
        return None
    return DisputeMade(
        reference=made.id,
        charge=charge,
        amount=amount,
        status=status,
        reason=made.reason,
        created_at=_time(made.created),
    )


def _method(session: "stripe.checkout.Session") -> MethodSaved | None:
    setup = session.setup_intent
    if session.status != "complete" or not isinstance(setup, stripe.SetupIntent):
        return None
    method = setup.payment_method
    payer = _id_of(session.customer)
    if not isinstance(method, stripe.PaymentMethod) or not payer:
        return None
    card = getattr(method, "card", None)
    return MethodSaved(
        reference=session.id,
        our_id=_our_id(session.metadata),
        customer=payer,
        payment_method=method.id,
        fingerprint=getattr(card, "fingerprint", None),
    )


def _id_of(what: Any) -> str:
    """Of an object, or of its id when it was not expanded."""
    if what is None:
        return ""
    return what if isinstance(what, str) else str(what.id)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
