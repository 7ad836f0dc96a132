"""Once a day, in every tenant: what is past its time goes, what was forgotten comes back."""

from datetime import timedelta

import structlog

from api.access.store import all_tenants
from api.house import House
from billing.gateways.connections.reseal import reseal
from billing.gateways.connections.vault import Vault
from billing.payments import resume as payments
from kernel import clocks, idempotency, jobs
from kernel.database import Tx, transaction
from refunds import resume as refunds
from webhooks import store as provider_events
from webhooks.drift.request import compare_nightly

DONE_KEPT = timedelta(days=30)
HANDLED_KEPT = timedelta(days=90)

log = structlog.get_logger("worker")


async def tidy(house: House, vault: Vault) -> None:
    """One tenant in which something is wrong does not keep the others from being tidied."""
    for tenant in await all_tenants(house.pool):
        try:
            async with transaction(house.pool, tenant.id, now=house.now()) as tx:
                await tidy_tenant(tx, vault)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("not tidied", tenant=str(tenant.id), error=type(error).__name__)


async def tidy_tenant(tx: Tx, vault: Vault) -> None:
    await idempotency.forget_lapsed(tx)
    await jobs.forget_done(tx, before=tx.wall - DONE_KEPT)
    await provider_events.forget_handled(tx, before=tx.wall - HANDLED_KEPT)
    await reseal(tx, vault)
    await clocks.go_by(tx)
    await payments.resume_unattended(tx)
    await refunds.resume_unattended(tx)
    await compare_nightly(tx)
    tx.leaves_work(tx.wall)
