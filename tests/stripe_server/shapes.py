"""What the server's objects look like. A test holds them against the types of the SDK."""

from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]  # JSON

NO_ADDRESS: Object = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
NOBODY: Object = {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}


def account(account_id: str, *, country: str = "FR") -> Object:
    return {
        "id": account_id,
        "object": "account",
        "business_profile": None,
        "business_type": "company",
        "charges_enabled": True,
        "country": country,
        "default_currency": "eur",
        "details_submitted": True,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


def customer(customer_id: str, *, created: int, sent: Object, metadata: Object) -> Object:
    return {
        "id": customer_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": sent.get("description"),
        "email": sent.get("email"),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata,
        "name": sent.get("name"),
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def payment_method(method_id: str, *, customer: str | None, created: int, fingerprint: str) -> Object:
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "always",
        "billing_details": NOBODY,
        "card": {
            "brand": "visa",
            "checks": None,
            "country": "FR",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": fingerprint,
            "funding": "credit",
            "generated_from": None,
            "last4": "4242",
            "networks": {"available": ["visa"], "preferred": None},
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": created,
        "customer": customer,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def setup_intent(intent_id: str, *, customer: str | None, created: int, metadata: Object) -> Object:
    return {
        "id": intent_id,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret",
        "created": created,
        "customer": customer,
        "description": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def checkout_session(
    session_id: str, *, sent: Object, setup_intent: str, created: int, metadata: Object
) -> Object:
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": sent.get("cancel_url"),
        "client_reference_id": sent.get("client_reference_id"),
        "client_secret": None,
        "consent": None,
        "consent_collection": None,
        "created": created,
        "currency": sent.get("currency"),
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": sent.get("customer"),
        "customer_creation": None,
        "customer_details": None,
        "customer_email": None,
        "expires_at": created + 24 * 3600,
        "invoice": None,
        "livemode": False,
        "locale": sent.get("locale"),
        "metadata": metadata,
        "mode": sent["mode"],
        "payment_intent": None,
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required",
        "recovered_from": None,
        "setup_intent": setup_intent,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": sent.get("success_url"),
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.example/c/pay/{session_id}",
    }


def payment_intent(intent_id: str, *, sent: Object, amount: int, created: int, metadata: Object) -> Object:
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "never", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret",
        "confirmation_method": "automatic",
        "created": created,
        "currency": sent["currency"],
        "customer": sent.get("customer"),
        "description": sent.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_confirmation",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(charge_id: str, *, intent: Object, created: int, status: str, failure: str | None) -> Object:
    succeeded = status == "succeeded"
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if succeeded else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "balance_transaction": None,
        "billing_details": NOBODY,
        "captured": succeeded,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": "card_declined" if failure else None,
        "failure_message": "Your card was declined." if failure else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": None,
        "paid": succeeded,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": {"card": None, "type": "card"},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def payment_error(code: str, *, decline_code: str | None, method: Object, charge: str) -> Object:
    """Of a card that was declined, as the intent keeps it."""
    return {
        "charge": charge,
        "code": code,
        "decline_code": decline_code,
        "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
        "message": "Your card was declined.",
        "payment_method": method,
        "type": "card_error",
    }


def refund(refund_id: str, *, charge: Object, amount: int, created: int, metadata: Object) -> Object:
    return {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "pending_reason": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(dispute_id: str, *, charge: Object, amount: int, reason: str, created: int) -> Object:
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"customer_name": None, "enhanced_evidence": {}, "uncategorized_text": None},
        "evidence_details": {
            "due_by": created + 9 * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }


def event(event_id: str, *, kind: str, of: Object, created: int, version: str) -> Object:
    return {
        "id": event_id,
        "object": "event",
        "api_version": version,
        "created": created,
        "data": {"object": of},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def page(url: str, data: list[Object], *, has_more: bool) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def error(
    kind: str, message: str, *, code: str | None = None, param: str | None = None, **more: object
) -> Object:
    said = {"type": kind, "message": message, "code": code, "param": param, **more}
    return {"error": {name: value for name, value in said.items() if value is not None}}
