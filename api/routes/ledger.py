"""The ledger: double entry, only ever added to."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.operations import query
from billing.ledger import store
from billing.ledger.model import Entry
from kernel.database import Tx
from kernel.paging import Page, Window

OfDocument = Annotated[
    str | None,
    QueryParameter(
        name="document_id",
        description="Only the entries of this invoice, credit note, payment or refund.",
    ),
]


@query("/v1/ledger_entries", scope="ledger:read")
async def list_ledger_entries(
    tx: NamedDependency[Tx], window: NamedDependency[Window], document_id: OfDocument = None
) -> Page[Entry]:
    """List ledger entries, newest first. Debits are positive, credits negative."""
    return await store.page(tx, window, document_id=document_id)


ROUTES = [list_ledger_entries]
