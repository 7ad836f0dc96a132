"""Notes and invoices by the thousand: of each only what settling one with the other is decided by."""

from datetime import date
from typing import TypeAlias

from billing.credit_notes.model import CreditNoteId, CreditNoteSettlement
from billing.invoices.model import Invoice, InvoiceId, InvoiceSettlement
from billing.ledger.model import Holder
from billing.parties.model import CustomerId, LegalEntityId, VatDue
from billing.settlement.model import SettlementId
from billing.tax.model import GroupTax
from kernel.money import Currency, Money
from kernel.structs import Value

# Who may settle what: one customer, one seller, one currency.
Between: TypeAlias = tuple[CustomerId, LegalEntityId, Currency]


class OpenInvoice(Value, frozen=True, kw_only=True):
    """An invoice as the settling of it goes by, with its settlement."""

    id: InvoiceId
    number: str
    legal_entity_id: LegalEntityId
    customer_id: CustomerId
    currency: Currency
    issued_on: date
    vat_due: VatDue
    time_zone: str
    taxes: tuple[GroupTax, ...]
    total: Money
    settlement: InvoiceSettlement

    @property
    def between(self) -> Between:
        return self.customer_id, self.legal_entity_id, self.currency

    @property
    def free(self) -> Money:
        """What is due and not on its way already."""
        return self.settlement.due - self.settlement.pending

    @property
    def holder(self) -> Holder:
        return Holder(
            legal_entity_id=self.legal_entity_id,
            customer_id=self.customer_id,
            currency=self.currency,
            invoice_id=self.id,
        )


class OpenNote(Value, frozen=True, kw_only=True):
    """A credit note, with its settlement. `taxes` are those of one on no invoice, with books of its own."""

    id: CreditNoteId
    number: str
    legal_entity_id: LegalEntityId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    currency: Currency
    vat_due: VatDue
    taxes: tuple[GroupTax, ...]
    total: Money
    settlement: CreditNoteSettlement

    @property
    def between(self) -> Between:
        return self.customer_id, self.legal_entity_id, self.currency

    @property
    def holder(self) -> Holder:
        return Holder(
            legal_entity_id=self.legal_entity_id,
            customer_id=self.customer_id,
            currency=self.currency,
            invoice_id=self.invoice_id,
            credit_note_id=None if self.invoice_id else self.id,
        )


def open_invoice(invoice: Invoice) -> OpenInvoice:
    return OpenInvoice(
        id=invoice.id,
        number=invoice.number,
        legal_entity_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        currency=invoice.currency,
        issued_on=invoice.issued_on,
        vat_due=invoice.vat_due,
        time_zone=invoice.time_zone,
        taxes=invoice.taxes,
        total=invoice.total,
        settlement=invoice.settlement,
    )


class Pair(Value, frozen=True, kw_only=True):
    """So much of a note settles an invoice."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    amount: Money


class Edge(Value, frozen=True, kw_only=True):
    """A pair that is recorded. `settles`: nothing is due on the invoice any more."""

    id: SettlementId
    pair: Pair
    customer_id: CustomerId
    is_own: bool
    settles: bool
