"""The words of a mail: (kind, facts, language) → subject and body. Pure.

Short, warm, and precise: what happened, how much, what comes next, whom to ask.
"""

from datetime import date
from typing import NamedTuple

from billing.documents.formats import Formats
from billing.parties.model import Language
from kernel.money import Money
from kernel.periods import Interval, Unit
from kernel.structs import Value
from notifications.model import Kind


class Text(Value, frozen=True):
    subject: str
    body: str


class Next(Value, frozen=True, kw_only=True):
    """What a subscription goes on with: the plan, where it is another, and its price before any offer."""

    plan: str | None
    price: Money
    interval: Interval
    with_vat: bool


class Facts(Value, frozen=True, kw_only=True):
    """`about` is the number of the document or the name of the plan; `terms` a sentence of the document.

    `again_on` is the day on which a charge that failed is tried again. `next` is what comes after the
    `offer`; without, the subscription ends with it. `replaced` and `taken_back_by` are numbers of documents.
    """

    seller: str
    about: str
    amount: Money | None = None
    day: date | None = None
    terms: str = ""
    again_on: date | None = None
    offer: str = ""
    replaced: str = ""
    taken_back_by: str = ""
    next: Next | None = None


def compose(kind: Kind, facts: Facts, language: Language) -> Text:
    formats = Formats(language)
    values = {
        "seller": facts.seller,
        "about": facts.about,
        "terms": facts.terms,
        "amount": formats.money(facts.amount) if facts.amount is not None else "",
        "day": formats.long_date(facts.day) if facts.day else "",
        "offer": facts.offer,
        "replaced": facts.replaced,
        "taken_back_by": facts.taken_back_by,
        "next": _next(facts, language, formats),
        "again": _AGAIN[language].format(formats.long_date(facts.again_on)) if facts.again_on else "",
    }
    text = _TEXTS[language][kind]
    return Text(
        subject=_one_line(text.subject.format_map(values)),
        body=_FRAME[language].format(body=text.body.format_map(values), seller=facts.seller),
    )


def _next(facts: Facts, language: Language, formats: Formats) -> str:
    """The sentences after the one that says when the offer ends."""
    if facts.next is None:
        return _ENDS_WITH_IT[language]
    after = facts.next
    every = _EVERY[language][after.interval.unit]
    goes_on = _GOES_ON_WITH[language] if after.plan else _GOES_ON[language]
    return goes_on.format(
        plan=after.plan,
        price=formats.money(after.price),
        every=every.one if after.interval.count == 1 else every.several.format(after.interval.count),
        vat=_VAT[language][after.with_vat],
    )


def _one_line(text: str) -> str:
    """No line break of any alphabet gets into a header."""
    return " ".join(text.split())


_FRAME = {
    Language.FRENCH: """\
Bonjour,

{body}

Une question\u00a0? Répondez simplement à ce message.

{seller}
""",
    Language.ENGLISH: """\
Hello,

{body}

Any questions? Just reply to this message.

{seller}
""",
}

_AGAIN = {
    Language.FRENCH: " Nous essaierons de nouveau le {}.",
    Language.ENGLISH: " We will try again on {}.",
}


class Every(NamedTuple):
    one: str
    several: str


_EVERY = {
    Language.FRENCH: {
        Unit.DAY: Every("par jour", "tous les {} jours"),
        Unit.WEEK: Every("par semaine", "toutes les {} semaines"),
        Unit.MONTH: Every("par mois", "tous les {} mois"),
        Unit.YEAR: Every("par an", "tous les {} ans"),
    },
    Language.ENGLISH: {
        Unit.DAY: Every("a day", "every {} days"),
        Unit.WEEK: Every("a week", "every {} weeks"),
        Unit.MONTH: Every("a month", "every {} months"),
        Unit.YEAR: Every("a year", "every {} years"),
    },
}
_VAT = {
    Language.FRENCH: {False: "hors TVA", True: "TVA comprise"},
    Language.ENGLISH: {False: "VAT excluded", True: "VAT included"},
}
_GOES_ON = {
    Language.FRENCH: (
        "Votre abonnement se poursuit ensuite à {price} {every}, {vat}. Vous n’avez rien à faire."
    ),
    Language.ENGLISH: (
        "Your subscription then goes on at {price} {every}, {vat}. There is nothing you need to do."
    ),
}
_GOES_ON_WITH = {
    Language.FRENCH: (
        "Votre abonnement se poursuit ensuite avec {plan}, à {price} {every}, {vat}. "
        "Vous n’avez rien à faire."
    ),
    Language.ENGLISH: (
        "Your subscription then goes on with {plan}, at {price} {every}, {vat}. "
        "There is nothing you need to do."
    ),
}
_ENDS_WITH_IT = {
    Language.FRENCH: "Votre abonnement prend fin en même temps. Pour le garder, il suffit de nous écrire.",
    Language.ENGLISH: "Your subscription ends with it. If you would like to keep it, just write to us.",
}

_FRENCH = {
    Kind.INVOICE_ISSUED: Text(
        "Votre facture {about}",
        "Voici votre facture {about}, d’un montant de {amount}. Vous la trouverez en pièce jointe.\n\n"
        "{terms}",
    ),
    Kind.INVOICE_CORRECTED: Text(
        "Votre facture rectificative {about}",
        "Votre facture {replaced} était à corriger. Elle est annulée par l’avoir {taken_back_by} et "
        "remplacée par la facture {about}, d’un montant de {amount}. Vous trouverez les deux en pièces "
        "jointes.\n\n"
        "{terms}",
    ),
    Kind.CREDIT_NOTE_ISSUED: Text(
        "Votre avoir {about}",
        "Voici votre avoir {about}, d’un montant de {amount}. Vous le trouverez en pièce jointe.\n\n{terms}",
    ),
    Kind.PAYMENT_FAILED: Text(
        "Votre paiement de la facture {about} n’a pas abouti",
        "Le paiement de {amount} pour votre facture {about} n’a pas abouti.{again}\n\n"
        "Le plus souvent, la carte a expiré ou son plafond est atteint. Merci de vérifier votre moyen de "
        "paiement, ou de nous écrire pour convenir d’un autre. La facture est en pièce jointe.",
    ),
    Kind.INVOICE_REMINDER_DUE: Text(
        "Rappel\u00a0: votre facture {about} reste à payer",
        "Sauf erreur de notre part, votre facture {about}, à régler au plus tard le {day}, n’est pas "
        "encore soldée\u00a0: il reste {amount} à payer.\n\n"
        "{terms}\n\n"
        "Si votre paiement est déjà en route, merci de ne pas tenir compte de ce message. La facture est en "
        "pièce jointe.",
    ),
    Kind.REFUND_SUCCEEDED: Text(
        "Votre remboursement de {amount}",
        "Nous vous avons remboursé {amount}, au titre de votre avoir {about}.\n\n"
        "Selon votre banque, le montant apparaît sur votre compte sous quelques jours.",
    ),
    Kind.REFUND_CONVERTED: Text(
        "Votre avoir {about}\u00a0: {amount} à valoir",
        "Votre remboursement de {amount}, au titre de votre avoir {about}, n’a pas pu vous parvenir. Ce "
        "montant reste à votre disposition\u00a0: il peut venir en déduction de vos prochaines factures.",
    ),
    Kind.SUBSCRIPTION_CANCELLED: Text(
        "Votre abonnement {about} est résilié",
        "Votre abonnement {about} est résilié, avec effet le {day}.\n\n"
        "Merci de la confiance que vous nous avez accordée. Vous serez toujours les bienvenus.",
    ),
    Kind.OFFER_ENDS_SOON: Text(
        "Votre offre sur {about} prend fin le {day}",
        "Votre offre «\u00a0{offer}\u00a0» sur l’abonnement {about} prend fin le {day}.\n\n{next}",
    ),
}

_ENGLISH = {
    Kind.INVOICE_ISSUED: Text(
        "Your invoice {about}",
        "Here is your invoice {about} of {amount}. You will find it attached.\n\n{terms}",
    ),
    Kind.INVOICE_CORRECTED: Text(
        "Your corrected invoice {about}",
        "Your invoice {replaced} needed correcting. It is cancelled by credit note {taken_back_by} and "
        "replaced by invoice {about} of {amount}. You will find both attached.\n\n{terms}",
    ),
    Kind.CREDIT_NOTE_ISSUED: Text(
        "Your credit note {about}",
        "Here is your credit note {about} of {amount}. You will find it attached.\n\n{terms}",
    ),
    Kind.PAYMENT_FAILED: Text(
        "Your payment of invoice {about} did not go through",
        "The payment of {amount} for your invoice {about} did not go through.{again}\n\n"
        "Most often the card has expired or its limit is reached. Please check your payment method, or "
        "write to us to agree on another. The invoice is attached.",
    ),
    Kind.INVOICE_REMINDER_DUE: Text(
        "Reminder: your invoice {about} is still to be paid",
        "As far as we can see, your invoice {about}, which was to be paid by {day}, is not settled yet: "
        "{amount} is still due.\n\n"
        "{terms}\n\n"
        "If your payment is already on its way, please disregard this message. The invoice is attached.",
    ),
    Kind.REFUND_SUCCEEDED: Text(
        "Your refund of {amount}",
        "We have refunded {amount} to you, for your credit note {about}.\n\n"
        "Depending on your bank, it appears on your account within a few days.",
    ),
    Kind.REFUND_CONVERTED: Text(
        "Your credit note {about}: {amount} kept for you",
        "Your refund of {amount}, for your credit note {about}, could not reach you. We keep the amount for "
        "you: it can be deducted from your next invoices.",
    ),
    Kind.SUBSCRIPTION_CANCELLED: Text(
        "Your subscription to {about} is cancelled",
        "Your subscription to {about} is cancelled, with effect from {day}.\n\n"
        "Thank you for the time we had together. You will always be welcome back.",
    ),
    Kind.OFFER_ENDS_SOON: Text(
        "Your offer on {about} ends on {day}",
        "Your offer “{offer}” on your subscription to {about} ends on {day}.\n\n{next}",
    ),
}

_TEXTS = {Language.FRENCH: _FRENCH, Language.ENGLISH: _ENGLISH}
