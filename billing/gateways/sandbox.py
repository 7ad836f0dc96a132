"""The sandbox: a payment provider of our own, for tests and demos.

Its tables are its own, on connections of its own, as a provider's would be: what it did stays done when
our transaction rolls back. The payment method says how it behaves:

    pm_sandbox_ok               charges and refunds succeed
    pm_sandbox_declined         the charge fails with card_declined
    pm_sandbox_timeout          the charge is made, and the answer lost
    pm_sandbox_late             the charge is pending, and succeeds two seconds later
    pm_sandbox_refund_declined  the charge succeeds, its refunds fail
    pm_sandbox_refund_timeout   the charge succeeds, refunds are made and their answers lost
    pm_sandbox_refund_late      the charge succeeds, refunds are pending and succeed two seconds later
    pm_sandbox_refund_fails_later
                                the charge succeeds, refunds succeed and fail two seconds later

Any other payment method fails with payment_method_unknown.
"""

import secrets

from billing.gateways.model import ChargeIntent, GatewayTimeout, Outcome, RefundIntent, Status
from kernel.database import Pool
from kernel.structs import Row

LATE_SECONDS = 2
FAILS_LATER = "pm_sandbox_refund_fails_later"

_CHARGES = {
    "pm_sandbox_ok": Status.SUCCEEDED,
    "pm_sandbox_declined": Status.FAILED,
    "pm_sandbox_timeout": Status.SUCCEEDED,
    "pm_sandbox_late": Status.PENDING,
    "pm_sandbox_refund_declined": Status.SUCCEEDED,
    "pm_sandbox_refund_timeout": Status.SUCCEEDED,
    "pm_sandbox_refund_late": Status.SUCCEEDED,
    FAILS_LATER: Status.SUCCEEDED,
}
_REFUNDS = {
    "pm_sandbox_refund_declined": Status.FAILED,
    "pm_sandbox_refund_late": Status.PENDING,
}


class Sandbox:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @property
    def name(self) -> str:
        return "sandbox"

    async def charge(self, intent: ChargeIntent) -> Outcome:
        status = _CHARGES.get(intent.payment_method, Status.FAILED)
        failure = "card_declined" if intent.payment_method in _CHARGES else "payment_method_unknown"
        row = await self._pool.fetchrow(
            """
            INSERT INTO sandbox.charges
                (id, our_id, token, currency, amount_minor, status, failure_code, settles_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
            ON CONFLICT (our_id) DO UPDATE SET our_id = EXCLUDED.our_id
            RETURNING id, status, failure_code
            """,
            f"ch_{secrets.token_hex(12)}",
            intent.id,
            intent.payment_method,
            intent.amount.currency,
            intent.amount.minor,
            status,
            failure if status is Status.FAILED else None,
            LATE_SECONDS if status is Status.PENDING else None,
        )
        if intent.payment_method == "pm_sandbox_timeout":
            raise GatewayTimeout("The sandbox was told not to answer.")
        return _outcome(row)

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None:
        row = await self._pool.fetchrow(
            """
            UPDATE sandbox.charges
            SET status = CASE WHEN status = 'pending' AND settles_at <= now()
                              THEN 'succeeded' ELSE status END
            WHERE our_id = $1
            RETURNING id, status, failure_code
            """,
            intent.id,
        )
        return _outcome(row) if row else None

    async def refund(self, intent: RefundIntent) -> Outcome:
        charge = await self._pool.fetchrow(
            "SELECT id, token FROM sandbox.charges WHERE id = $1", intent.charge
        )
        behaviour = charge["token"] if charge else ""
        status = _REFUNDS.get(behaviour, Status.SUCCEEDED)
        row = await self._pool.fetchrow(
            """
            INSERT INTO sandbox.refunds
                (id, our_id, charge_id, amount_minor, status, failure_code, settles_at)
            SELECT $1, $2, c.id, $4::bigint, $5, $6, now() + make_interval(secs => $7)
            FROM sandbox.charges c
            WHERE c.id = $3
              AND c.status = 'succeeded'
              AND c.amount_minor >= $4::bigint + (
                  SELECT COALESCE(sum(r.amount_minor), 0)
                  FROM sandbox.refunds r
                  WHERE r.charge_id = c.id AND r.status <> 'failed' AND r.our_id <> $2
              )
            ON CONFLICT (our_id) DO UPDATE SET our_id = EXCLUDED.our_id
            RETURNING id, status, failure_code
            """,
            f"re_{secrets.token_hex(12)}",
            intent.id,
            intent.charge,
            intent.amount.minor,
            status,
            "refund_declined" if status is Status.FAILED else None,
            LATE_SECONDS if status is Status.PENDING or behaviour == FAILS_LATER else None,
        )
        if row is None:
            return Outcome(status=Status.FAILED, reference="", failure_code="charge_not_refundable")
        if behaviour == "pm_sandbox_refund_timeout":
            raise GatewayTimeout("The sandbox was told not to answer.")
        return _outcome(row)

    async def find_refund(self, intent: RefundIntent) -> Outcome | None:
        row = await self._pool.fetchrow(
            """
            UPDATE sandbox.refunds
            SET status = CASE WHEN settles_at > now() THEN status
                              WHEN status = 'pending' THEN 'succeeded'
                              WHEN settles_at IS NOT NULL THEN 'failed'
                              ELSE status END,
                failure_code = CASE WHEN status = 'succeeded' AND settles_at <= now()
                                    THEN 'account_closed' ELSE failure_code END,
                settles_at = CASE WHEN settles_at <= now() THEN NULL ELSE settles_at END
            WHERE our_id = $1
            RETURNING id, status, failure_code
            """,
            intent.id,
        )
        return _outcome(row) if row else None


def _outcome(row: Row | None) -> Outcome:
    assert row is not None, "an upsert returns its row"
    return Outcome(status=Status(row["status"]), reference=row["id"], failure_code=row["failure_code"])
