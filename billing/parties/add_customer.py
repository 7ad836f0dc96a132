"""Registering a customer."""

from billing.parties import rules, store
from billing.parties.events import CustomerChanged, CustomerCreated
from billing.parties.model import Customer, CustomerId, LegalEntity, NewCustomer
from billing.tax.model import TaxRateId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.structs import Value
from kernel.text import Name, Reference


class Found(Value, frozen=True, kw_only=True):
    """A customer with the seller they are billed by."""

    customer: Customer
    entity: LegalEntity
    is_new: bool


async def add_customer(tx: Tx, request: NewCustomer) -> Customer:
    """Raises Conflict `reference_taken` when there is a customer of this reference."""
    found = await find_or_add_customer(tx, request)
    if not found.is_new:
        raise Conflict(
            "reference_taken",
            f"There is a customer {request.reference!r} already.",
            param="reference",
        )
    return found.customer


async def find_or_add_customer(tx: Tx, request: NewCustomer) -> Found:
    """The customer of this reference, locked."""
    entity, tax_rate_id, has_gateway = await store.seller_for(
        tx, entity=request.legal_entity, tax_rate=request.tax_rate
    )

    customer = rules.checked_customer(_customer(request, entity, tax_rate_id, tx), has_gateway=has_gateway)

    if not await store.insert_customer(tx, customer):
        return await _there_already(tx, request.reference)
    outbox.publish(tx, CustomerCreated(customer_id=customer.id))
    return Found(customer=customer, entity=entity, is_new=True)


async def _there_already(tx: Tx, reference: Reference) -> Found:
    customer = await store.lock_customer(tx, reference)
    return Found(
        customer=customer,
        entity=await store.legal_entity(tx, customer.legal_entity_id),
        is_new=False,
    )


async def take_over_payment_method(tx: Tx, customer: Customer, payment_method: Name | None) -> Customer:
    """A customer who is there already keeps what is known of them, but for a new way to pay."""
    if payment_method is None or payment_method == customer.payment_method:
        return customer
    changed = rules.checked_customer(
        customer.paying_with(payment_method),
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
