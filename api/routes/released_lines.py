"""Released lines: what credit notes left to be billed again."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.filters import OfCustomer
from api.operations import query
from billing.credit_notes.model import CreditNoteId
from billing.released import store
from billing.released.model import ReleasedLine
from kernel.database import Tx
from kernel.paging import Page, Window

OfCreditNote = Annotated[
    CreditNoteId | None,
    QueryParameter(name="credit_note_id", description="Only those of this credit note."),
]
Billed = Annotated[
    bool | None,
    QueryParameter(name="billed", description="Only those that have been billed again, or that have not."),
]


@query("/v1/released_lines", scope="credit_notes:read")
async def list_released_lines(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    credit_note_id: OfCreditNote = None,
    billed: Billed = None,
) -> Page[ReleasedLine]:
    """List what credit notes with `release_lines` left to be billed again, newest first.

    A draft invoice bills them, named in its `released_lines`: each once.
    """
    return await store.page(tx, window, customer_id=of_customer, credit_note_id=credit_note_id, billed=billed)


ROUTES = [list_released_lines]
