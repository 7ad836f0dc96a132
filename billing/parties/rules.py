"""What a seller and a buyer must be like. Pure."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from stdnum.eu import vat
from stdnum.exceptions import ValidationError
from stdnum.fr import siren

from billing.parties.model import Customer, NewLegalEntity, Seller
from kernel.errors import Conflict, Invalid
from kernel.text import Name

_PRINTED = re.compile(r"[A-Za-z0-9+_/-]*")
_LONGEST_NUMBER = 12


def check_legal_entity(request: NewLegalEntity) -> None:
    check_time_zone(request.time_zone)
    check_format(request.invoice_number_format, param="invoice_number_format")
    check_format(request.credit_note_number_format, param="credit_note_number_format")
    if request.invoice_number_format == request.credit_note_number_format:
        raise Invalid(
            "number_formats_alike",
            "Invoices and credit notes need formats that tell their numbers apart.",
            param="credit_note_number_format",
        )


def checked_seller(seller: Seller) -> Seller:
    """The seller with its numbers in their compact form, in which machines read them too."""
    if seller.address.country == "FR" and seller.siren is None:
        raise Invalid("siren_required", "A French seller has its SIREN on documents.", param="seller.siren")
    vat_number = seller.vat_number and Name(check_vat_number(seller.vat_number))
    number = seller.siren and check_siren(seller.siren, param="seller.siren")
    return msgspec.structs.replace(seller, vat_number=vat_number, siren=number)


def check_siren(number: str, *, param: str) -> Name:
    """The number in its compact form."""
    try:
        return Name(siren.validate(number))
    except ValidationError:
        raise Invalid("siren_invalid", f"{number!r} is not a SIREN.", param=param) from None


def checked_customer(customer: Customer, *, has_gateway: bool) -> Customer:
    """The customer with its numbers in their compact form."""
    if customer.payment_method is not None and not has_gateway:
        raise Conflict(
            "gateway_missing",
            "No payment provider is connected, so there is nothing to charge: leave payment_method out.",
            param="payment_method",
        )
    vat_number = customer.vat_number and check_vat_number(customer.vat_number)
    number = customer.siren and check_siren(customer.siren, param="siren")
    return msgspec.structs.replace(customer, vat_number=vat_number, siren=number)


def check_vat_number(number: str) -> str:
    """The number in its compact form. Numbers of EU countries are checked, offline; others are kept."""
    prefix = number.strip().upper()[:2]
    if not re.fullmatch("[A-Z]{2}", prefix):
        raise Invalid("vat_number_invalid", "A VAT number begins with its country code.", param="vat_number")
    if prefix.lower() not in vat.MEMBER_STATES | {"el"}:
        return number.strip()
    try:
        return str(vat.validate(number))
    except ValidationError:
        raise Invalid(
            "vat_number_invalid",
            f"{number!r} is not a VAT number of {prefix}: its check digits do not agree.",
            param="vat_number",
        ) from None


def check_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "time_zone_unknown",
            f"{name[:60]!r} is not an IANA time zone such as Europe/Paris.",
            param="time_zone",
        ) from None


def check_format(form: str, *, param: str) -> None:
    longest = form.replace("{year}", "2026", 1).replace("{number}", "9" * _LONGEST_NUMBER, 1)
    if "{number}" not in form or not _PRINTED.fullmatch(longest) or len(longest) > 35:
        raise Invalid(
            "number_format_invalid",
            "A number format holds {number} once, {year} at most once, and otherwise only "
            "A-Z a-z 0-9 + - _ /, so that numbers have at most 35 characters.",
            param=param,
        )
