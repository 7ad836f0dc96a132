"""Sellers and buyers: the legal entities of a tenant, and its customers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

import msgspec

from billing.dunning import schedule as dunning
from billing.dunning.schedule import Schedule
from billing.tax.model import TaxBehavior, TaxRateId
from kernel.ids import Id
from kernel.structs import Input, Value
from kernel.text import Country, Email, Name, Reference

Metadata = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=40)],
        Annotated[str, msgspec.Meta(max_length=500)],
    ],
    msgspec.Meta(max_length=50),
]


class LegalEntityId(Id, prefix="le"):
    """A seller: the name on the documents and the owner of the number series."""


class CustomerId(Id, prefix="cus"):
    """A buyer."""


class Language(StrEnum):
    FRENCH = "fr"
    ENGLISH = "en"


class VatDue(StrEnum):
    """When VAT on services falls due: on receipt (CGI art. 269, 2 c), or on the invoice if opted for."""

    ON_PAYMENT = "on_payment"
    ON_INVOICE = "on_invoice"


class RefundMode(StrEnum):
    """How money goes back: through the provider now, by hand, on a later day, or not at all."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    DEFERRED = "deferred"
    NONE = "none"


class SettleCreditNotes(StrEnum):
    """When what is left of credit notes pays other invoices of the customer by itself.

    At issue the oldest ones that are due, and then later ones; later ones only; or never.
    """

    ON_ISSUE = "on_issue"
    ON_NEXT_INVOICE = "on_next_invoice"
    NEVER = "never"


class Proration(StrEnum):
    """How a part of a period is counted: by calendar days where the seller is, by seconds, or not at all."""

    DAY = "day"
    SECOND = "second"
    NONE = "none"


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line1: Name
    line2: Name | None = None
    postal_code: Name | None = None
    city: Name
    country: Country


class Seller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seller as the law wants it on a document (C. com. art. R123-237, CGI ann. II art. 242 nonies A).

    `registration` is printed as given, such as `RCS Paris 303 265 045`; `siren` is checked. So are the terms
    of an `early_payment_discount` (C. com. art. L441-9), such as `2 % sous 8 jours`: without, there is none.
    """

    name: Name
    legal_form: Name | None = None
    share_capital: Name | None = None
    siren: Name | None = None
    registration: Name | None = None
    vat_number: Name | None = None
    address: Address
    email: Email
    phone: Name | None = None
    iban: Name | None = None
    bic: Name | None = None
    early_payment_discount: Name | None = None


class Buyer(Value, frozen=True, kw_only=True):
    """The customer as frozen on a document."""

    name: Name
    email: Email
    vat_number: str | None
    siren: str | None
    address: Address


class LegalEntity(Value, frozen=True, kw_only=True):
    """Number formats hold `{year}` and `{number}`; with a year the series begins anew each year."""

    id: LegalEntityId
    reference: Reference
    seller: Seller
    language: Language
    time_zone: str
    vat_due: VatDue
    tax_rate_id: TaxRateId
    payment_terms_days: int
    invoice_number_format: str
    credit_note_number_format: str
    is_default: bool
    created_at: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Customer(Value, frozen=True, kw_only=True):
    """`card_fingerprint` is of a card left at the payment provider: the same card has the same one."""

    id: CustomerId
    reference: Reference
    name: Name
    email: Email
    language: Language
    address: Address
    vat_number: str | None
    siren: str | None
    legal_entity_id: LegalEntityId
    tax_rate_id: TaxRateId | None
    payment_method: str | None
    metadata: dict[str, str]
    created_at: datetime
    card_fingerprint: str | None = None

    def paying_with(self, payment_method: str | None, *, fingerprint: str | None = None) -> Self:
        """The same customer with another payment method, or the one they have."""
        if payment_method == self.payment_method and fingerprint is None:
            return self
        return msgspec.structs.replace(self, payment_method=payment_method, card_fingerprint=fingerprint)

    @property
    def buyer(self) -> Buyer:
        return Buyer(
            name=self.name,
            email=self.email,
            vat_number=self.vat_number,
            siren=self.siren,
            address=self.address,
        )


class ProviderRefunds(StrEnum):
    """What becomes of a refund that was made at the provider and that no credit note here explains."""

    ISSUE_CREDIT_NOTE = "issue_credit_note"  # one is issued for it
    LINK_ONLY = "link_only"  # it stays without one, until it is linked


class Settings(Value, frozen=True, kw_only=True):
    """What holds for a tenant where a call says nothing."""

    refund_mode: RefundMode = RefundMode.AUTOMATIC
    refund_after_days: int = 14
    proration: Proration = Proration.DAY
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    dunning_automatic: Schedule = dunning.AUTOMATIC
    dunning_send_invoice: Schedule = dunning.SEND_INVOICE
    provider_refunds: ProviderRefunds = ProviderRefunds.ISSUE_CREDIT_NOTE
    settle_credit_notes: SettleCreditNotes = SettleCreditNotes.ON_NEXT_INVOICE


class NewLegalEntity(Input, frozen=True, kw_only=True):
    """A seller. The first one is the default; its VAT rate is what lines take that name none."""

    reference: Reference
    seller: Seller
    tax_rate: str
    language: Language = Language.FRENCH
    time_zone: str = "Europe/Paris"
    vat_due: VatDue = VatDue.ON_PAYMENT
    payment_terms_days: Annotated[int, msgspec.Meta(ge=0, le=120)] = 30
    invoice_number_format: str = "F{year}-{number}"
    credit_note_number_format: str = "A{year}-{number}"
    is_default: bool = False


class NewCustomer(Input, frozen=True, kw_only=True):
    """`tax_rate` overrides the plan's and the entity's, for reverse charge, export and the like.

    `siren` is a mention on the invoices of French companies.
    """

    reference: Reference
    name: Name
    email: Email
    address: Address
    language: Language | None = None
    vat_number: Name | None = None
    siren: Name | None = None
    legal_entity: str | None = None
    tax_rate: str | None = None
    payment_method: Name | None = None
    metadata: Metadata = {}


class CustomerChange(Input, frozen=True, kw_only=True):
    """Only the fields that are sent change; documents already issued do not."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    address: Address | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType = msgspec.UNSET
    vat_number: Name | msgspec.UnsetType | None = msgspec.UNSET
    siren: Name | msgspec.UnsetType | None = msgspec.UNSET
    tax_rate: str | msgspec.UnsetType | None = msgspec.UNSET
    payment_method: Name | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET


class SettingsChange(Input, frozen=True, kw_only=True):
    """Only the fields that are sent change. A schedule is replaced as a whole, for what is overdue later."""

    refund_mode: RefundMode | msgspec.UnsetType = msgspec.UNSET
    refund_after_days: Annotated[int, msgspec.Meta(ge=0, le=366)] | msgspec.UnsetType = msgspec.UNSET
    proration: Proration | msgspec.UnsetType = msgspec.UNSET
    tax_behavior: TaxBehavior | msgspec.UnsetType = msgspec.UNSET
    dunning_automatic: Schedule | msgspec.UnsetType = msgspec.UNSET
    dunning_send_invoice: Schedule | msgspec.UnsetType = msgspec.UNSET
    provider_refunds: ProviderRefunds | msgspec.UnsetType = msgspec.UNSET
    settle_credit_notes: SettleCreditNotes | msgspec.UnsetType = msgspec.UNSET
