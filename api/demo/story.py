"""The demo's story: what a little SaaS company does in its first weeks, as data.

Each step is one call of the public API. Its key makes it safe to tell the story twice.
"""

from collections.abc import Iterator, Mapping, Sequence

from kernel.structs import Value

Body = Mapping[str, object]


class Call(Value, frozen=True, kw_only=True):
    """`about` is what a person reads while it runs. A refusal in `unless` means it was done before."""

    about: str
    path: str
    body: Body
    unless: frozenset[str] = frozenset()


class Person(Value, frozen=True, kw_only=True):
    """A customer and what they take. `pays` is a payment method; None is sent an invoice."""

    reference: str
    name: str
    email: str
    address: dict[str, str]
    plan: str
    pays: str | None = "pm_sandbox_ok"
    quantity: str = "1"
    offer: str | None = None
    language: str = "fr"
    vat_number: str | None = None
    tax_rate: str | None = None
    addons: Sequence[str] = ()


class Ending(Value, frozen=True, kw_only=True):
    """A cancellation, and how the money goes back."""

    reference: str
    refund: str
    credit: str = "prorated"
    why: str


THERE = frozenset({"reference_taken"})

PLANS = [
    {
        "reference": "solo",
        "name": "Solo",
        "interval": {"unit": "month"},
        "prices": [{"currency": "EUR", "unit_price": "9.90"}],
        "entitlements": {"projects": 3, "export": True},
    },
    {
        "reference": "team",
        "name": "Team, per seat",
        "interval": {"unit": "month"},
        "prices": [
            {"currency": "EUR", "unit_price": "19.00", "model": "per_unit"},
            {"currency": "USD", "unit_price": "21.00", "model": "per_unit"},
        ],
        "entitlements": {"projects": 50, "export": True, "sso": True},
    },
    {
        "reference": "business",
        "name": "Business, yearly",
        "interval": {"unit": "year"},
        "prices": [{"currency": "EUR", "unit_price": "1490.00"}],
        "entitlements": {"projects": 1000, "export": True, "sso": True, "audit_log": True},
    },
]

OFFERS = [
    {
        "reference": "BIENVENUE",
        "name": "Bienvenue : moitié prix pendant 3 mois",
        "benefit": {"type": "percent", "percent": "50"},
        "duration": {"type": "periods", "count": 3},
        "conditions": {"new_customers_only": True},
    },
    {
        "reference": "ESSAI-14",
        "name": "14 jours gratuits",
        "benefit": {"type": "free_period", "days": 14},
        "conditions": {"new_customers_only": True, "plans": ["solo", "team"]},
    },
]


def _address(line1: str, postal_code: str, city: str, country: str = "FR") -> dict[str, str]:
    return {"line1": line1, "postal_code": postal_code, "city": city, "country": country}


PEOPLE = [
    Person(
        reference="atelier-lilas",
        name="Atelier des Lilas",
        email="compta@atelier-lilas.example",
        address=_address("12 rue des Lilas", "75011", "Paris"),
        plan="team",
        quantity="6",
        offer="BIENVENUE",
        vat_number="FR83404833048",
    ),
    Person(
        reference="zoe-martin",
        name="Zoé Martin",
        email="zoe@example.com",
        address=_address("5 quai Voltaire", "75007", "Paris"),
        plan="solo",
        offer="BIENVENUE",
    ),
    Person(
        reference="yann-le-goff",
        name="Yann Le Goff",
        email="yann.legoff@example.com",
        address=_address("3 rue de la Soif", "35000", "Rennes"),
        plan="solo",
        offer="ESSAI-14",
    ),
    Person(
        reference="cabinet-nord",
        name="Cabinet Nord & Associés",
        email="factures@cabinet-nord.example",
        address=_address("88 rue Faidherbe", "59800", "Lille"),
        plan="business",
        pays=None,
    ),
    Person(
        reference="boulangerie-maupin",
        name="Boulangerie Maupin",
        email="bonjour@maupin.example",
        address=_address("1 place du Marché", "13002", "Marseille"),
        plan="solo",
        pays="pm_sandbox_late",
    ),
    Person(
        reference="studio-oeil",
        name="Studio Œil",
        email="studio@oeil.example",
        address=_address("27 cours de l'Intendance", "33000", "Bordeaux"),
        plan="team",
        quantity="3",
    ),
    Person(
        reference="lena-weber",
        name="Weber Softwarehaus GmbH",
        email="rechnung@weber.example",
        address=_address("Unter den Linden 1", "10117", "Berlin", "DE"),
        plan="team",
        quantity="12",
        language="en",
        vat_number="DE136695976",
        tax_rate="reverse-charge",
    ),
    Person(
        reference="brouwer",
        name="Brouwer & Zonen BV",
        email="administratie@brouwer.example",
        address=_address("Keizersgracht 200", "1016 DW", "Amsterdam", "NL"),
        plan="business",
        pays=None,
        language="en",
        vat_number="NL123456782B90",
        tax_rate="reverse-charge",
    ),
    Person(
        reference="maple-labs",
        name="Maple Labs Inc.",
        email="ap@maple-labs.example",
        address=_address("500 Howard Street", "94105", "San Francisco", "US"),
        plan="team",
        quantity="4",
        language="en",
        tax_rate="export",
    ),
    Person(
        reference="claire-dubois",
        name="Claire Dubois",
        email="claire.dubois@example.com",
        address=_address("9 rue des Canuts", "69004", "Lyon"),
        plan="solo",
    ),
    Person(
        reference="hugo-petit",
        name="Hugo Petit",
        email="hugo@example.com",
        address=_address("14 rue du Taur", "31000", "Toulouse"),
        plan="team",
        quantity="2",
    ),
    Person(
        reference="ines-garcia",
        name="Inés García",
        email="ines@example.com",
        address=_address("Calle de Alcalá 48", "28014", "Madrid", "ES"),
        plan="solo",
        pays="pm_sandbox_declined",
        language="en",
    ),
]

TRANSFERS = {"cabinet-nord": "VIR CABINET NORD 0412"}

ENDINGS = [
    Ending(reference="claire-dubois", refund="automatic", why="Plus d'usage"),
    Ending(reference="hugo-petit", refund="deferred", why="Changement d'outil"),
    Ending(reference="studio-oeil", refund="none", credit="full", why="Geste commercial : avoir à valoir"),
    Ending(reference="cabinet-nord", refund="manual", why="Cessation d'activité"),
]


def opening() -> Iterator[Call]:
    """The catalogue."""
    for plan in PLANS:
        yield Call(about=f"Plan {plan['name']}", path="plans", body=plan, unless=THERE)
    for offer in OFFERS:
        yield Call(about=f"Offer {offer['name']}", path="offers", body=offer, unless=THERE)


def signup(person: Person) -> Call:
    customer: Body = {
        "reference": person.reference,
        "name": person.name,
        "email": person.email,
        "address": person.address,
        "language": person.language,
        "vat_number": person.vat_number,
        "tax_rate": person.tax_rate,
        "payment_method": person.pays,
    }
    body: Body = {
        "customer": customer,
        "plan": person.plan,
        "offer": person.offer,
        "quantity": person.quantity,
        "addons": [{"plan": addon} for addon in person.addons],
        "currency": "EUR",
        "collection": "automatic" if person.pays else "send_invoice",
    }
    # Their subscription may be over by now, and a story does not begin again.
    return Call(about=f"{person.name} signs up", path="signups", body=body)


def transfer(reference: str, invoice_id: str) -> Call:
    return Call(
        about=f"A transfer from {reference}",
        path=f"invoices/{invoice_id}/payments",
        body={"means": "transfer", "reference": TRANSFERS[reference]},
        unless=frozenset({"payment_exceeds_due"}),
    )


def cancellation(ending: Ending, subscription_id: str) -> Call:
    return Call(
        about=f"{ending.reference} cancels ({ending.refund})",
        path=f"subscriptions/{subscription_id}/cancel",
        body={"refund": ending.refund, "credit": ending.credit, "reason_text": ending.why},
        unless=frozenset({"subscription_over"}),
    )


def parts_by_hand(credit_note_id: str, promised: int, currency: str) -> Iterator[Call]:
    """What was promised goes back in two transfers; nothing is promised where money went by itself."""
    if not promised:
        return
    for n, part in enumerate((promised // 2, promised - promised // 2), start=1):
        yield Call(
            about=f"Refund by transfer, part {n} of 2",
            path=f"credit_notes/{credit_note_id}/refunds",
            body={
                "means": "transfer",
                "amount": {"minor": part, "currency": currency},
                "reference": f"VIR REMBOURSEMENT {n}/2",
            },
            unless=frozenset({"refund_exceeds_note"}),
        )
