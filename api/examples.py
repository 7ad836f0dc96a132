"""One example body for every operation that takes one: shown in the documentation, and sent by a test."""

from collections.abc import Mapping

_ADDRESS = {"line1": "5 quai Voltaire", "postal_code": "75007", "city": "Paris", "country": "FR"}
_MONTH = {"unit": "month"}

EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "create_signup": {
        "customer": {
            "reference": "user-42",
            "name": "Zoé Martin",
            "email": "zoe@example.com",
            "address": _ADDRESS,
            "payment_method": "pm_sandbox_ok",
        },
        "plan": "pro",
        "offer": "WELCOME",
    },
    "create_back_test": {
        "offer": {
            "reference": "LOYALTY",
            "name": "10 % from 25.00",
            "benefit": {"type": "percent", "percent": "10"},
            "conditions": {"min_amounts": [{"minor": 2500, "currency": "EUR"}]},
            "duration": {"type": "forever"},
        },
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2027-01-01T00:00:00Z",
    },
    "evaluate_promotions": {
        "newcomer": {"country": "FR", "metadata": {"channel": "partner"}},
        "plan": "pro",
        "quantity": "1",
        "offers": ["WELCOME"],
    },
    "create_customer": {
        "reference": "user-43",
        "name": "Weber Softwarehaus GmbH",
        "email": "rechnung@weber.example",
        "address": {"line1": "Unter den Linden 1", "postal_code": "10117", "city": "Berlin", "country": "DE"},
        "language": "en",
        "vat_number": "DE136695976",
        "tax_rate": "reverse-charge",
    },
    "patch_customer": {"payment_method": "pm_sandbox_ok", "metadata": {"crm": "4711"}},
    "create_subscription": {"customer": "user-42", "plan": "pro", "collection": "send_invoice"},
    "change_subscription": {"plan": "pro", "quantity": "12", "addons": []},
    "cancel_subscription": {"credit": "prorated", "refund": "automatic"},
    "grant_subscription_offer": {"offer": "WELCOME"},
    "migrate_plan": {"when": "renewal"},
    "schedule_phases": {"phases": [{"plan": "pro", "quantity": "3", "after_periods": 2}]},
    "pause_subscription": {"when": "now", "credit": "prorated", "resume_at": "2027-03-01T00:00:00Z"},
    "create_charge": {"description": "Data import", "unit_price": "90.00", "quantity": "2.5"},
    "create_plan": {
        "reference": "pro",
        "name": "Pro",
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "unit_price": "29.00", "setup_fee": "49.00"}],
        "entitlements": {"projects": 10, "sso": True},
    },
    "create_meter": {"reference": "api_calls", "name": "API calls", "aggregation": "sum"},
    "record_usage": {
        "records": [
            {"event_id": "call-1", "customer": "user-42", "meter": "api_calls", "quantity": "420"},
            {
                "event_id": "call-2",
                "customer": "user-42",
                "meter": "api_calls",
                "quantity": "3",
                "at": "2026-11-23T11:58:00Z",
            },
        ]
    },
    "create_plan_version": {
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "unit_price": "9.50", "model": "per_unit"}],
        "meters": [
            {
                "meter": "api_calls",
                "prices": [
                    {
                        "currency": "EUR",
                        "model": "graduated",
                        "tiers": [{"up_to": "1000"}, {"unit_price": "0.002"}],
                    }
                ],
            }
        ],
        "entitlements": {"projects": 20, "sso": True, "calls": {"quota": 1000, "meter": "api_calls"}},
    },
    "create_offer": {
        "reference": "WELCOME",
        "name": "Welcome: half price for three months",
        "benefit": {"type": "percent", "percent": "50"},
        "duration": {"type": "periods", "count": 3},
        "conditions": {"new_customers_only": True},
    },
    "patch_offer": {"name": "Half price for three months", "metadata": {"campaign": "spring"}},
    "create_redemption": {"customer": "user-43", "offer": "WELCOME", "expires_in_seconds": 3600},
    "create_referral_code": {"offer": "WELCOME", "referrer_offer": "WELCOME"},
    "create_coupon": {"code": "SUMMER26", "expires_at": "2027-09-01T00:00:00Z"},
    "create_coupon_batch": {"count": 5000, "prefix": "SPRING", "name": "Flyers at the fair"},
    "create_rebate": {
        "reference": "rfa-2026",
        "name": "Quarterly rebate",
        "currency": "EUR",
        "customers": ["user-42"],
        "mode": "whole_volume",
        "tiers": [
            {"from_amount": {"minor": 0, "currency": "EUR"}, "rate": "2"},
            {"from_amount": {"minor": 5000000, "currency": "EUR"}, "rate": "3.5"},
        ],
        "period": "quarter",
        "starts_on": "2026-07-01",
    },
    "patch_rebate": {"refund": "manual", "when_negative": "claw_back"},
    "settle_rebate": {},
    "accrue_rebate": {"on": "2026-11-23"},
    "create_imported_credit_notes": {
        "credit_notes": [
            {
                "customer": "user-42",
                "number": "A-2025/0007",
                "issued_on": "2025-04-02",
                "reason": "billing_error",
                "currency": "EUR",
                "lines": [
                    {
                        "description": "Pro, March 2025, billed twice",
                        "amount": {"minor": 2900, "currency": "EUR"},
                        "tax": {"rate": "20"},
                    }
                ],
                "used": {"minor": 1000, "currency": "EUR"},
            }
        ]
    },
    "create_imported_invoices": {
        "invoices": [
            {
                "customer": "user-42",
                "number": "2025/0042",
                "issued_on": "2025-03-01",
                "due_on": "2025-03-31",
                "currency": "EUR",
                "lines": [
                    {
                        "description": "Pro, March 2025",
                        "amount": {"minor": 2900, "currency": "EUR"},
                        "tax": {"rate": "20"},
                    }
                ],
                "taxes": [
                    {
                        "group": {"rate": "20"},
                        "base": {"minor": 2900, "currency": "EUR"},
                        "tax": {"minor": 580, "currency": "EUR"},
                    }
                ],
                "payments": [
                    {"amount": {"minor": 1000, "currency": "EUR"}, "received_on": "2025-03-20"},
                ],
            }
        ]
    },
    "create_draft_invoice": {
        "customer": "user-42",
        "currency": "EUR",
        "lines": [
            {"description": "Workshop", "unit_price": "100.00", "quantity": "1.5"},
            {"description": "Handbook", "unit_price": "50.00", "tax_rate": "fr-5.5"},
        ],
        "discounts": [{"name": "Partner", "percent": "10"}],
    },
    "patch_draft_invoice": {"note": "As agreed on the phone.", "discounts": []},
    "create_payment": {"means": "transfer", "reference": "VIR 2026-11"},
    "pause_invoice_dunning": {"until": None},
    "create_credit_note": {
        "reason": "commercial_gesture",
        "reason_text": "With our apologies for the outage of 12 November.",
        "refund": "manual",
    },
    "fix_invoice": {
        "reason": "billing_error",
        "reason_text": "Ten seats had been agreed, twelve were billed.",
        "lines": [{"description": "Workshop", "unit_price": "120.00", "quantity": "10"}],
        "note": "As agreed on the phone.",
    },
    "reject_invoice": {
        "reason_text": "The buyer is not registered under this SIREN.",
        "reason_code": "DEST_INC",
        "platform_reference": "PA-2026-118",
    },
    "reverse_credit_note": {"note": "Credited by mistake."},
    "attach_credit_note": {"invoices": ["inv_01kax0000000000000000000b1"]},
    "detach_credit_note": {"invoices": ["inv_01kax0000000000000000000b1"]},
    "create_draft_credit_note": {
        "on_customer": {
            "customer": "user-42",
            "currency": "EUR",
            "lines": [{"description": "Discount for early payment", "unit_price": "12.00"}],
            "reason": "early_payment",
        }
    },
    "patch_draft_credit_note": {
        "on_invoice": {
            "invoice": "inv_01kax0000000000000000000b1",
            "reason": "early_payment",
            "percent": "2",
        }
    },
    "create_global_credit_note": {
        "customer": "user-42",
        "currency": "EUR",
        "lines": [
            {"description": "Goodwill for the outage of 12 November", "unit_price": "50.00"},
            {"item": "pro", "quantity": "1"},
        ],
        "reason": "commercial_gesture",
    },
    "create_manual_refund": {"means": "transfer", "reference": "VIR 2026-12"},
    "create_customer_payment": {
        "means": "transfer",
        "amount": {"minor": 5000, "currency": "EUR"},
        "reference": "VIR 2026-118",
    },
    "apply_payment": {"invoice": "inv_01kax0000000000000000000b1"},
    "create_reconciliation": {"payment_connection": "pcx_01kax0000000000000000000a1"},
    "create_settlements": {
        "credit_notes": [{"credit_note": "cn_01kax0000000000000000000a1"}],
        "invoices": [
            {"invoice": "inv_01kax0000000000000000000b1", "amount": {"minor": 1000, "currency": "EUR"}}
        ],
    },
    "create_settlement_batch": {"currency": "EUR", "issued_before": "2027-01-01", "simulate": True},
    "mark_credit_note_used": {"reason": "Deducted from what they paid for 2023."},
    "dissociate_settlement": {"amount": {"minor": 400, "currency": "EUR"}},
    "create_dispute": {"reason": "fraudulent", "reference": "dp_1"},
    "close_dispute": {"outcome": "lost"},
    "link_refund": {"credit_note": "cn_01kax0000000000000000000a1"},
    "refund_payment": {"amount": {"minor": 100, "currency": "EUR"}, "means": "transfer"},
    "refund_credit_note": {"mode": "automatic"},
    "reschedule_refund": {"due_on": "2026-12-24"},
    "retry_refund": {"payments": None},
    "record_external_refund": {"means": "transfer", "reference": "VIR 2026-13"},
    "create_legal_entity": {
        "reference": "acme",
        "tax_rate": "fr-20",
        "seller": {
            "name": "Acme",
            "legal_form": "SAS",
            "share_capital": "10 000 €",
            "siren": "303265045",
            "registration": "RCS Paris 303 265 045",
            "vat_number": "FR40303265045",
            "address": {
                "line1": "1 rue de la Paix",
                "postal_code": "75002",
                "city": "Paris",
                "country": "FR",
            },
            "email": "billing@acme.example",
        },
    },
    "create_tax_rate": {"reference": "fr-5.5", "name": "TVA 5,5 %", "rate": "5.5"},
    "patch_stacking_policy": {"percentages": "compound", "order": "percent_first", "cumulative_lanes": [1]},
    "patch_settings": {
        "refund_mode": "deferred",
        "refund_after_days": 14,
        "settle_credit_notes": "on_next_invoice",
        "dunning_automatic": {
            "steps": [{"after_days": 3, "retry": True}, {"after_days": 7, "retry": True}],
            "final": {"after_days": 14, "action": "cancel", "credit": "none"},
        },
        "dunning_send_invoice": {"steps": [{"after_days": 7}, {"after_days": 21}]},
    },
    "create_payment_connection": {
        "secret_key": "sk_test_51ExampleOfAKey",
        "webhook_secret": "whsec_example1",
    },
    "patch_payment_connection": {"secret_key": "sk_test_51ExampleOfAnother"},
    "create_checkout_session": {
        "success_url": "https://app.example/billing?saved=1",
        "cancel_url": "https://app.example/billing",
    },
    "create_webhook_secret": {"secret": "whsec_example2"},
    "create_api_key": {"name": "Signup backend", "scopes": ["signup_backend"]},
    "rotate_api_key": {"overlap_seconds": 3600},
    "advance_test_clock": {"to": "2026-12-01T00:00:00Z"},
}
