"""Registering a customer."""

from billing.parties import rules, store
from billing.parties.events import CustomerCreated
from billing.parties.model import Customer, CustomerId, LegalEntity, NewCustomer
from billing.tax import store as tax_rates
from billing.tax.model import TaxRateId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict


async def add_customer(tx: Tx, request: NewCustomer) -> Customer:
    """Raises Conflict `reference_taken` when there is a customer of this reference."""
    customer, is_new = await find_or_add_customer(tx, request)
    if not is_new:
        raise Conflict(
            "reference_taken",
            f"There is a customer {request.reference!r} already.",
            param="reference",
        )
    return customer


async def find_or_add_customer(tx: Tx, request: NewCustomer) -> tuple[Customer, bool]:
    """The customer of this reference, locked, and whether it is new."""
    entity = await _entity(tx, request)
    tax_rate_id = await _tax_rate_id(tx, request)

    customer = _customer(request, entity, tax_rate_id, tx)

    if not await store.insert_customer(tx, customer):
        return await store.lock_customer(tx, request.reference), False
    await outbox.publish(tx, CustomerCreated(customer_id=customer.id))
    return customer, True


def _customer(request: NewCustomer, entity: LegalEntity, tax_rate_id: TaxRateId | None, tx: Tx) -> Customer:
    vat_number = request.vat_number and rules.check_vat_number(request.vat_number)
    return Customer(
        id=CustomerId.new(),
        reference=request.reference,
        name=request.name,
        email=request.email,
        language=request.language or entity.language,
        address=request.address,
        vat_number=vat_number,
        legal_entity_id=entity.id,
        tax_rate_id=tax_rate_id,
        payment_method=request.payment_method,
        metadata=request.metadata,
        created_at=tx.now,
    )


async def _entity(tx: Tx, request: NewCustomer) -> LegalEntity:
    if request.legal_entity is None:
        return await store.default_legal_entity(tx)
    return await store.legal_entity(tx, request.legal_entity)


async def _tax_rate_id(tx: Tx, request: NewCustomer) -> TaxRateId | None:
    return None if request.tax_rate is None else (await tax_rates.get(tx, request.tax_rate)).id
