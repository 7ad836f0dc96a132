"""Taking a provider event in: it is kept, with a job that will look at what it is about, and no more.

The answer is sent once this is committed. What the provider delivers again, it has been told twice.
"""

from billing.gateways.connections.model import PaymentConnectionId
from kernel import jobs
from kernel.database import Tx
from kernel.ids import JobId
from webhooks import store
from webhooks.model import Told

FOLLOWING = "follow_provider_object"


async def receive(tx: Tx, connection_id: PaymentConnectionId, provider: str, told: Told) -> bool:
    """False when it is here already."""
    job_id = JobId.new() if told.kind else None

    if not await store.insert(tx, connection_id, provider, told, job_id):
        return False
    if job_id is not None:
        data = {"connection_id": str(connection_id), "kind": told.kind, "reference": told.object_reference}
        await jobs.schedule(tx, FOLLOWING, data, due=tx.now, job_id=job_id)
    return True
