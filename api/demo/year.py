"""A year of a SaaS company, as data: who comes when, what they take, and what they do later. Pure.

Drawn with a fixed seed: the same year each time. Every price model, offers of each kind, upgrades and
downgrades, pauses, charges, refunds in each mode, cards that fail and are mended or not.
"""

from collections.abc import Iterator
from random import Random

from api.demo.story import THERE, Body, Call, Person
from kernel.structs import Value

WEEKS = 52
CUSTOMERS = 200
SEED = 2026

_MONTH = {"unit": "month"}
PLANS: list[Body] = [
    {
        "reference": "starter",
        "name": "Starter",
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "unit_price": "19.00"}],
        "trial_days": 14,
        "entitlements": {"projects": 3, "export": False},
    },
    {
        "reference": "team-seats",
        "name": "Équipe, par siège",
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "model": "per_unit", "unit_price": "12.00", "setup_fee": "49.00"}],
        "entitlements": {"projects": 50, "export": True},
    },
    {
        "reference": "storage",
        "name": "Archives, par 100 Go",
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "model": "package", "unit_price": "8.50", "package_size": "100"}],
        "entitlements": {"archive": True},
    },
    {
        "reference": "contacts",
        "name": "Contacts, au palier atteint",
        "interval": _MONTH,
        "prices": [
            {
                "currency": "EUR",
                "model": "volume",
                "tiers": [
                    {"up_to": "1000", "unit_price": "0.05"},
                    {"up_to": "5000", "unit_price": "0.04"},
                    {"unit_price": "0.03"},
                ],
            }
        ],
        "entitlements": {"export": True},
    },
    {
        "reference": "messages",
        "name": "Messages, par tranche",
        "interval": _MONTH,
        "prices": [
            {
                "currency": "EUR",
                "model": "graduated",
                "tiers": [
                    {"up_to": "500", "unit_price": "0.08", "flat_price": "5.00"},
                    {"up_to": "2000", "unit_price": "0.06"},
                    {"unit_price": "0.045"},
                ],
            }
        ],
        "entitlements": {"export": True},
    },
    {
        "reference": "business-year",
        "name": "Business, à l'année",
        "interval": {"unit": "year"},
        "prices": [{"currency": "EUR", "unit_price": "1490.00"}],
        "entitlements": {"projects": 1000, "export": True, "sso": True},
    },
]
ADDONS: list[Body] = [
    {
        "reference": "priority-support",
        "name": "Support prioritaire",
        "kind": "addon",
        "interval": _MONTH,
        "prices": [{"currency": "EUR", "unit_price": "15.00"}],
        "entitlements": {"support_hours": 4},
    },
]
# How many units somebody takes of each plan, from and to.
UNITS = {
    "starter": (1, 1),
    "team-seats": (2, 25),
    "storage": (50, 1200),
    "contacts": (400, 8000),
    "messages": (300, 6000),
    "business-year": (1, 1),
}
# What a customer wants in a week, and how likely it is.
WISHES = ((0.022, "quantity"), (0.012, "plan"), (0.010, "charge"), (0.014, "cancel"), (0.006, "pause"))

OFFERS: list[Body] = [
    {
        "reference": "RENTREE",
        "name": "Rentrée : moitié prix pendant 3 mois",
        "benefit": {"type": "percent", "percent": "50"},
        "duration": {"type": "periods", "count": 3},
        "conditions": {"new_customers_only": True},
    },
    {
        "reference": "DIX-EUROS",
        "name": "10 € de remise, deux fois",
        "benefit": {"type": "fixed_amount", "amount": {"minor": 1000, "currency": "EUR"}},
        "duration": {"type": "periods", "count": 2},
        "conditions": {"new_customers_only": True},
    },
    {
        "reference": "UN-MOIS",
        "name": "Un mois offert",
        "benefit": {"type": "free_period", "days": 30},
        "conditions": {"new_customers_only": True},
    },
]

_FIRST = "Camille Louis Inès Hugo Zoé Adam Léa Noé Jade Émile Anouk Yanis Maëlle Côme Lina Théo".split()
_LAST = "Martin Petit Durand Le-Goff Moreau Garnier Weber Rossi Lambert Faure Mercier Blanc Roy".split()
_TRADES = "Atelier Studio Cabinet Librairie Boulangerie Garage Clinique Théâtre Verger Imprimerie".split()
_CITIES = {"75011": "Paris", "69002": "Lyon", "33000": "Bordeaux", "59800": "Lille", "35000": "Rennes"}
_CARDS = ["pm_sandbox_ok"] * 17 + ["pm_sandbox_refund_declined", "pm_sandbox_declined", None]


class Doing(Value, frozen=True, kw_only=True):
    """What somebody does with their subscription, in one week."""

    about: str
    path: str
    body: Body


def opening() -> Iterator[Call]:
    for plan in (*PLANS, *ADDONS):
        yield Call(about=f"Plan {plan['name']}", path="plans", body=plan, unless=THERE)
    for offer in OFFERS:
        yield Call(about=f"Offer {offer['name']}", path="offers", body=offer, unless=THERE)


def people() -> list[list[Person]]:
    """Those who come in each week: more of them towards the end."""
    draw = Random(SEED)  # noqa: S311 - a story, not a secret
    weeks: list[list[Person]] = [[] for _ in range(WEEKS)]
    for n in range(CUSTOMERS):
        week = int(WEEKS * draw.random() ** 0.7 * 0.96)
        weeks[week].append(_person(n, draw))
    return weeks


def _person(n: int, draw: Random) -> Person:
    first, last = draw.choice(_FIRST), draw.choice(_LAST)
    plan = draw.choices(list(UNITS), weights=[30, 30, 12, 12, 10, 6])[0]
    name = f"{draw.choice(_TRADES)} {last}" if draw.random() < 0.5 else f"{first} {last}"
    postal_code, city = draw.choice(list(_CITIES.items()))
    return Person(
        reference=f"client-{n:03d}",
        name=name,
        email=f"client-{n:03d}@exemple.example",
        address={
            "line1": f"{draw.randint(1, 120)} rue {draw.choice(_LAST)}",
            "postal_code": postal_code,
            "city": city,
            "country": "FR",
        },
        plan=plan,
        addons=["priority-support"] if plan == "team-seats" and draw.random() < 0.3 else [],
        pays=draw.choice(_CARDS),
        quantity=str(draw.randint(*UNITS[plan])),
        offer=draw.choice(["RENTREE", "DIX-EUROS", "UN-MOIS", *[None] * 5]) if plan != "starter" else None,
        language=draw.choice(["fr", "fr", "fr", "en"]),
    )


def wish(draw: Random) -> str | None:
    """What somebody who is there wants to do this week, if anything."""
    dice = draw.random()
    for chance, what in WISHES:
        if dice < chance:
            return what
        dice -= chance
    return None


def doing(what: str, person: Person, plan: str, draw: Random, *, resume_at: str) -> Doing | None:
    """How they go about it, `plan` being the one they are on. None where it makes no sense there."""
    match what:
        case "quantity":
            return _change_quantity(person, plan, draw)
        case "plan":
            return _change_plan(person, plan, draw)
        case "charge":
            return _charge(person, draw)
        case "cancel":
            return _cancel(person, draw)
        case _:
            return _pause(person, resume_at)


def mended(person: Person, draw: Random) -> bool:
    """Whether somebody whose card fails gives another one this week."""
    return person.pays == "pm_sandbox_declined" and draw.random() < 0.25


def _change_quantity(person: Person, plan: str, draw: Random) -> Doing | None:
    fewest, most = UNITS[plan]
    if most == 1:
        return None
    when = draw.choice(["now", "now", "period_end"])
    return Doing(
        about=f"{person.name} takes another quantity",
        path="change",
        body={"quantity": str(draw.randint(fewest, most)), "when": when},
    )


def _change_plan(person: Person, plan: str, draw: Random) -> Doing:
    other = draw.choice([each for each in UNITS if each != plan])
    return Doing(
        about=f"{person.name} moves to {other}",
        path="change",
        body={
            "plan": other,
            "quantity": str(draw.randint(*UNITS[other])),
            "when": draw.choice(["now", "period_end"]),
            **({"addons": []} if other == "business-year" else {}),  # they are billed by the month
        },
    )


def _charge(person: Person, draw: Random) -> Doing:
    body = {"description": "Formation", "unit_price": "90.00", "quantity": str(draw.randint(1, 4))}
    return Doing(about=f"{person.name} takes a training", path="charges", body=body)


def _cancel(person: Person, draw: Random) -> Doing:
    when = draw.choice(["now", "period_end"])
    credit, refund = ("prorated", draw.choice(["automatic", "manual", "deferred", "none"]))
    body = {"when": when, "credit": credit, "refund": refund, "reason_text": "Changement d'outil"}
    return Doing(about=f"{person.name} cancels", path="cancel", body=body)


def _pause(person: Person, resume_at: str) -> Doing:
    body = {"when": "now", "resume_at": resume_at}
    return Doing(about=f"{person.name} pauses for a while", path="pause", body=body)
