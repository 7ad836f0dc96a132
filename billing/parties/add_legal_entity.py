"""Adding a seller. A tenant's first one is its default."""

from billing.parties import rules, store
from billing.parties.model import LegalEntity, LegalEntityId, NewLegalEntity
from billing.tax import store as tax_rates
from kernel.database import Tx


async def add_legal_entity(tx: Tx, request: NewLegalEntity) -> LegalEntity:
    default = await store.lock_default_entity(tx)
    tax_rate = await tax_rates.get(tx, request.tax_rate)

    rules.check_legal_entity(request)
    entity = LegalEntity(
        id=LegalEntityId.new(),
        reference=request.reference,
        seller=rules.checked_seller(request.seller),
        language=request.language,
        time_zone=request.time_zone,
        vat_due=request.vat_due,
        tax_rate_id=tax_rate.id,
        payment_terms_days=request.payment_terms_days,
        invoice_number_format=request.invoice_number_format,
        credit_note_number_format=request.credit_note_number_format,
        is_default=request.is_default or default is None,
        created_at=tx.now,
    )

    if entity.is_default:
        await store.clear_default_entity(tx)
    await store.insert_legal_entity(tx, entity)
    return entity
