"""Legal entities: the sellers on documents."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from billing.parties import store
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import LegalEntity, NewLegalEntity
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/legal_entities", scope="legal_entities:read")
async def list_legal_entities(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[LegalEntity]:
    """List legal entities, newest first."""
    return await store.legal_entities(tx, window)


@query("/v1/legal_entities/{legal_entity}", scope="legal_entities:read")
async def get_legal_entity(tx: NamedDependency[Tx], legal_entity: FromPath[str]) -> LegalEntity:
    """Read a legal entity, by id or reference."""
    return await store.legal_entity(tx, legal_entity)


@command("/v1/legal_entities", scope="legal_entities:write", status=201)
async def create_legal_entity(tx: NamedDependency[Tx], data: JSONBody[NewLegalEntity]) -> LegalEntity:
    """Add a seller.

    It owns its number series. A tenant's first one is its default: customers bill under it unless set.
    """
    return await add_legal_entity(tx, data)


ROUTES = [list_legal_entities, get_legal_entity, create_legal_entity]
