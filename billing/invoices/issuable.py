"""What the law wants on a document before it may be issued. Pure.

CGI ann. II art. 242 nonies A; directive 2006/112/CE art. 226 and 230.
"""

from collections.abc import Iterable

from billing.parties.model import Buyer, Seller
from billing.tax.model import Category, GroupTax
from kernel.errors import Conflict
from kernel.money import Currency

# Where the amount of VAT has to be said in euro, whatever the currency of the document.
_EURO_AREA = frozenset("AT BE BG CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK".split())
_NEEDS_BUYER_VAT_NUMBER = frozenset({Category.REVERSE_CHARGE, Category.INTRA_COMMUNITY})
_NEEDS_SELLER_VAT_NUMBER = _NEEDS_BUYER_VAT_NUMBER | {Category.STANDARD}


def check(seller: Seller, buyer: Buyer, taxes: Iterable[GroupTax], currency: Currency) -> None:
    """Raises Conflict naming what is missing, and where to add it."""
    charged = [tax for tax in taxes if tax.base]
    categories = {tax.group.category for tax in charged}
    if categories & _NEEDS_SELLER_VAT_NUMBER and seller.vat_number is None:
        raise Conflict(
            "seller_vat_number_missing",
            f"{seller.name!r} has no VAT number, which its documents must show. Add a legal entity with one.",
        )
    if categories & _NEEDS_BUYER_VAT_NUMBER and buyer.vat_number is None:
        raise Conflict(
            "buyer_vat_number_missing",
            f"Without a VAT number of {buyer.name!r} the VAT cannot be left to them. "
            "Add it with PATCH /v1/customers/{id}.",
        )
    in_euro = currency == "EUR" or seller.address.country not in _EURO_AREA
    if not in_euro and any(tax.tax for tax in charged):
        raise Conflict(
            "exchange_rate_missing",
            f"A seller in {seller.address.country} must say VAT in euro, and there is no exchange rate for "
            f"{currency}. Charge VAT in EUR.",
        )
