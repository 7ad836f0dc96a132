"""What the demo tenant sells under: a seller and the VAT rates of France, so that a first call can work."""

from billing.parties import store as parties
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import Address, NewLegalEntity, Seller
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, NewTaxRate
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.paging import Window
from kernel.text import Country, Email, Name, Reference

_REVERSE_CHARGE = "Autoliquidation par le preneur (art. 283-2 du CGI, art. 196 de la directive 2006/112/CE)"
_EXPORT = "TVA non applicable, prestation rendue hors de l'Union européenne (art. 259-1 du CGI)"

RATES = [
    NewTaxRate(reference=Reference("fr-20"), name=Name("TVA 20 %"), rate=Rate.parse("20")),
    NewTaxRate(reference=Reference("fr-10"), name=Name("TVA 10 %"), rate=Rate.parse("10")),
    NewTaxRate(reference=Reference("fr-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5")),
    NewTaxRate(
        reference=Reference("reverse-charge"),
        name=Name("Autoliquidation"),
        category=Category.REVERSE_CHARGE,
        rate=Rate(0),
        reason=Name(_REVERSE_CHARGE),
    ),
    NewTaxRate(
        reference=Reference("export"),
        name=Name("Hors Union européenne"),
        category=Category.EXPORT,
        rate=Rate(0),
        reason=Name(_EXPORT),
    ),
]

SELLER = NewLegalEntity(
    reference=Reference("demo"),
    seller=Seller(
        name=Name("Nuage Clair"),
        legal_form=Name("SAS"),
        share_capital=Name("10 000 €"),
        siren=Name("303265045"),
        registration=Name("RCS Paris 303 265 045"),
        vat_number=Name("FR40303265045"),
        address=Address(
            line1=Name("1 rue de la Paix"),
            postal_code=Name("75002"),
            city=Name("Paris"),
            country=Country("FR"),
        ),
        email=Email("facturation@nuage-clair.example"),
        iban=Name("FR76 3000 6000 0112 3456 7890 189"),
        bic=Name("AGRIFRPP"),
    ),
    tax_rate="fr-20",
)


async def furnish(tx: Tx) -> None:
    """Once: a tenant that has a seller is left alone."""
    if (await parties.legal_entities(tx, Window(limit=1))).data:
        return
    for rate in RATES:
        await add_tax_rate(tx, rate)
    await add_legal_entity(tx, SELLER)
