"""Registering a customer."""

import msgspec

from billing.parties import rules, store
from billing.parties.events import CustomerChanged, CustomerCreated
from billing.parties.model import Customer, CustomerId, LegalEntity, NewCustomer
from billing.tax import store as tax_rates
from billing.tax.model import TaxRateId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.text import Name


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

    customer = rules.checked_customer(
        _customer(request, entity, tax_rate_id, tx), has_gateway=await store.has_gateway(tx)
    )

    if not await store.insert_customer(tx, customer):
        return await store.lock_customer(tx, request.reference), False
    outbox.publish(tx, CustomerCreated(customer_id=customer.id))
    return customer, True


async def take_over_payment_method(tx: Tx, customer: Customer, payment_method: Name | None) -> Customer:
    """A customer who is there already keeps what is known of them, but for a new way to pay."""
    if payment_method is None or payment_method == customer.payment_method:
        return customer
    changed = rules.checked_customer(
        msgspec.structs.replace(customer, payment_method=payment_method),
        has_gateway=await store.has_gateway(tx),
    )
    await store.update_customer(tx, changed)
    outbox.publish(tx, CustomerChanged(customer_id=customer.id))
    return changed


def _customer(request: NewCustomer, entity: LegalEntity, tax_rate_id: TaxRateId | None, tx: Tx) -> Customer:
    return Customer(
        id=CustomerId.new(),
        reference=request.reference,
        name=request.name,
        email=request.email,
        language=request.language or entity.language,
        address=request.address,
        vat_number=request.vat_number,
        siren=request.siren,
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
