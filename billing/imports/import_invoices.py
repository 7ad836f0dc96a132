"""Importing invoices that were issued elsewhere: nothing is sent, numbered or charged."""

from collections.abc import Sequence
from itertools import groupby

from billing.imports import rules, store
from billing.imports.events import InvoiceImported
from billing.imports.model import Imported, ImportedInvoices, NewImportedInvoice, NewImportedInvoices
from billing.invoices import store as invoices
from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntityId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, DomainError, not_found
from kernel.periods import local_date


async def import_invoices(tx: Tx, request: NewImportedInvoices) -> ImportedInvoices:
    """All of them, or none: a refusal says which it is about."""
    customers = await _customers(tx, request.invoices)
    entities = await parties.legal_entities_of(tx, {each.legal_entity_id for each in customers})

    imported = []
    for place, (each, customer) in enumerate(zip(request.invoices, customers, strict=True)):
        try:
            imported.append(rules.imported(each, customer, entities[customer.legal_entity_id], now=tx.now))
        except DomainError as error:
            raise rules.at_place(error, place, "invoices") from None

    await _record(tx, imported)
    outbox.publish(tx, *map(_said, imported))
    found = {each.id: each for each in await invoices.find_many(tx, [each.ready.id for each in imported])}
    return ImportedInvoices(invoices=tuple(found[each.ready.id] for each in imported))


async def _customers(tx: Tx, requests: Sequence[NewImportedInvoice]) -> list[Customer]:
    """Of each of the invoices."""
    named = await parties.find_customers(tx, {each.customer for each in requests})
    for place, each in enumerate(requests):
        if each.customer not in named:
            raise rules.at_place(not_found("customer", each.customer), place, "invoices")
    customers = await parties.customers_of(tx, set(named.values()))
    return [customers[named[each.customer]] for each in requests]


async def _record(tx: Tx, imported: Sequence[Imported]) -> None:
    by_seller = sorted(imported, key=_seller)
    sellers = [list(of_one_seller) for _, of_one_seller in groupby(by_seller, key=_seller)]
    written = set().union(*[await store.insert_invoices(tx, of_one_seller) for of_one_seller in sellers])
    for place, each in enumerate(imported):
        if each.ready.id not in written:
            taken = Conflict("number_taken", f"The seller has a document {each.number} already.")
            raise rules.at_place(taken, place, "invoices")

    for of_one_seller in sellers:
        today = local_date(tx.now, of_one_seller[0].ready.entity.zone)
        await store.insert_contents(tx, of_one_seller, booked_on=today)


def _seller(imported: Imported) -> LegalEntityId:
    return imported.ready.entity.id


def _said(imported: Imported) -> InvoiceImported:
    return InvoiceImported(
        invoice_id=imported.ready.id,
        customer_id=imported.ready.customer.id,
        amount=imported.ready.sums.total,
        dunned=imported.dunned,
    )
