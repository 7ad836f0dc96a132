"""What would have come off past invoices, customer by customer. Pure.

An offer is tried as if everybody had been given it with their first invoice in the range that its conditions
allow, beside the offers they held then; it goes on for its duration on that subscription. Its caps are
counted in the order of the customers' ids.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, Proration
from kernel.decimals import Measure
from kernel.money import Currency, Money, total, zero
from kernel.periods import Period
from kernel.structs import Value
from kernel.text import Reference
from promotions import duration, engine, replay
from promotions.basket import Basket, BasketLine, Decision, Held, InReach, Refusal, lines_for
from promotions.model import FreePeriod, Offer, OfferId, Policy, Redemption, RedemptionId, Status
from promotions.replay import Decided
from subscriptions.backtests.model import (
    DIFFERENCES_LISTED,
    LISTED,
    Cliff,
    Difference,
    Findings,
    InCurrency,
    Winner,
)
from subscriptions.model import SubscriptionId
from subscriptions.proration import offer_for, share_of

NEAR_PERCENT = 90
_THRESHOLDS = {"offer_amount_too_low": "min_amounts", "offer_quantity_too_low": "min_quantity"}


class PastLine(Value, frozen=True, kw_only=True):
    item: Reference | None
    quantity: Measure
    recurring: bool
    discountable: bool
    amount: Money
    discount: Money
    period: Period | None


class PastInvoice(Value, frozen=True, kw_only=True):
    """As it was issued; `is_first` when its customer had none before. Without `decided` no offer was held."""

    id: InvoiceId
    customer_id: CustomerId
    subscription_id: SubscriptionId
    issued_at: datetime
    period: Period
    anchor_at: datetime
    zone: ZoneInfo
    country: str
    customer_metadata: dict[str, str]
    is_first: bool
    currency: Currency
    lines: tuple[PastLine, ...]
    decided: Decided | None

    @property
    def given(self) -> Money:
        return total((line.discount for line in self.lines), self.currency)


# ── The rules in force ──────────────────────────────────────────────────────────────────────────────────


def in_force(findings: Findings, past: Sequence[PastInvoice], offers: Mapping[OfferId, Offer]) -> Findings:
    """Every invoice again, from what was frozen and the offers of today."""
    found = [each for invoice in past for each in _differences(invoice, offers)]
    return replace(
        findings,
        invoices=findings.invoices + len(past),
        applied=findings.applied + sum(bool(invoice.given) for invoice in past),
        currencies=_added(findings.currencies, ((each, each.given) for each in past)),
        difference_count=findings.difference_count + len(found),
        differences=(*findings.differences, *found)[:DIFFERENCES_LISTED],
    )


def _differences(invoice: PastInvoice, offers: Mapping[OfferId, Offer]) -> Iterator[Difference]:
    then = invoice.decided
    if then is None:
        return
    replayed, billed = _off(replay.again(then, offers)), _off(then.decision)
    for reference in {**billed, **replayed}:
        was, would_be = billed.get(reference), replayed.get(reference)
        if was != would_be:
            none = zero(invoice.currency)
            yield Difference(
                invoice_id=invoice.id,
                offer=reference,
                billed=_sum(was, none),
                replayed=_sum(would_be, none),
            )
    if not _is_waived(invoice, then) and _per_line(then) != [line.discount for line in invoice.lines]:
        yield Difference(
            invoice_id=invoice.id,
            offer=next(iter(billed), Reference("none")),
            billed=invoice.given,
            replayed=total(_per_line(then), invoice.currency),
        )


def _off(decision: Decision) -> dict[Reference, tuple[Money, ...]]:
    return {each.reference: each.amounts for each in decision.allocations}


def _sum(amounts: tuple[Money, ...] | None, none: Money) -> Money:
    return total(amounts or (), none.currency)


def _per_line(then: Decided) -> list[Money]:
    lines = [zero(then.basket.currency) for _ in then.basket.lines]
    for each in then.decision.allocations:
        lines = [line + amount for line, amount in zip(lines, each.amounts, strict=True)]
    return lines


def _is_waived(invoice: PastInvoice, then: Decided) -> bool:
    """Gross prices of whoever is charged no VAT stand net on the invoice, what came off them too."""
    return [line.amount for line in invoice.lines] != [line.amount for line in then.basket.lines]


# ── An offer that is not there yet ──────────────────────────────────────────────────────────────────────


class Trial:
    """The offer on its way through the customers: how often it was had, and what it has cost."""

    def __init__(
        self, findings: Findings, offer: Offer, offers: Mapping[OfferId, Offer], policy: Policy
    ) -> None:
        self.findings = findings
        self.offer = offer
        self.offers = offers
        self.policy = policy
        self.redeemed = findings.redeemed
        self.spent = findings.spent
        self.applied = findings.applied
        self.refusals = Counter(findings.refusals)
        self.cliffs = list(findings.cliffs)
        self.cliff_count = findings.cliff_count
        self.winners = list(findings.winners)
        self.winner_count = findings.winner_count
        self.replayed: list[tuple[PastInvoice, Money]] = []

    def of_customer(self, past: Sequence[PastInvoice]) -> None:
        """Their invoices, the oldest first."""
        held: tuple[Held, SubscriptionId] | None = None
        wins: Counter[Currency] = Counter()
        for invoice in past:
            off, held = self._of_invoice(invoice, held)
            self.replayed.append((invoice, off))
            wins[invoice.currency] += off.minor - invoice.given.minor
        won = [
            Winner(customer_id=past[0].customer_id, wins=Money(minor, currency))
            for currency, minor in wins.items()
            if minor > 0
        ]
        self.winner_count += len(won)
        self.winners = sorted([*self.winners, *won], key=_largest)[:LISTED]

    def found(self) -> Findings:
        return Findings(
            invoices=self.findings.invoices + len(self.replayed),
            applied=self.applied,
            redeemed=self.redeemed,
            spent=self.spent,
            currencies=_added(self.findings.currencies, self.replayed),
            winner_count=self.winner_count,
            winners=tuple(self.winners),
            cliff_count=self.cliff_count,
            cliffs=tuple(self.cliffs),
            refusals=dict(sorted(self.refusals.items())),
        )

    def _of_invoice(
        self, invoice: PastInvoice, held: tuple[Held, SubscriptionId] | None
    ) -> tuple[Money, tuple[Held, SubscriptionId] | None]:
        """What would have come off it, and the offer as it is held after it."""
        basket = _basket(invoice)
        if held is None:
            refusal = self._refusal(basket, invoice)
            if refusal is not None:
                self._note(refusal, basket, invoice)
                return invoice.given, None
            held = (self._granted(invoice), invoice.subscription_id)
            self.redeemed += 1
        mine, subscription_id = held
        if subscription_id != invoice.subscription_id:
            return invoice.given, held
        decision = self._decision(basket, invoice, mine)
        off = _off(decision).get(self.offer.reference)
        amount = total(off, invoice.currency) if off else None
        if amount:
            self.applied += 1
            self.spent += amount.minor if self.offer.budget is not None else 0
        for refusal in decision.refusals:
            if refusal.offer_id == self.offer.id:
                self._note(refusal, basket, invoice)
        after = duration.after_invoice(mine, amount, invoice.period)
        came_off = total((each for off in _off(decision).values() for each in off), invoice.currency)
        unknown = invoice.given if invoice.decided is None else zero(invoice.currency)
        return came_off + unknown, (replace(mine, redemption=after), subscription_id)

    def _refusal(self, basket: Basket, invoice: PastInvoice) -> Refusal | None:
        offer = replace(self.offer, redeemed=self.redeemed)
        return engine.refusal_of(basket, InReach(offer=offer), now=invoice.issued_at)

    def _granted(self, invoice: PastInvoice) -> Held:
        serves = duration.serving(
            self.offer.duration,
            applies_from=invoice.period.start,
            anchor_at=invoice.anchor_at,
            zone=invoice.zone,
        )
        redemption = Redemption(
            id=RedemptionId.new(),
            offer_id=self.offer.id,
            customer_id=invoice.customer_id,
            status=Status.REDEEMED,
            periods_used=0,
            applies_from=serves.applies_from,
            ends_at=serves.ends_at,
            given=zero(invoice.currency),
            redeemed_at=invoice.issued_at,
        )
        return Held(offer=self.offer, redemption=redemption)

    def _decision(self, basket: Basket, invoice: PastInvoice, held: Held) -> Decision:
        redemption = duration.before_period(held.redemption, invoice.period.start)
        covers = duration.covered(invoice.period, redemption.ends_at, invoice.anchor_at, invoice.zone)
        over = not redemption.is_live or not covers.part or isinstance(self.offer.benefit, FreePeriod)
        offer = _in_part(self._within_budget(), invoice)
        mine = [InReach(offer=offer, granted=True, periods_used=redemption.periods_used, covers=covers)]
        if invoice.decided is not None:
            return replay.again(invoice.decided, self.offers, [] if over else mine)
        return engine.evaluate(basket, [] if over else mine, self.policy, now=invoice.issued_at)

    def _within_budget(self) -> Offer:
        budget = self.offer.budget
        if budget is None:
            return self.offer
        return replace(self.offer, spent=Money(self.spent, budget.currency))

    def _note(self, refusal: Refusal, basket: Basket, invoice: PastInvoice) -> None:
        self.refusals[refusal.code] += 1
        cliff = _cliff(self.offer, refusal.code, basket, invoice)
        if cliff is not None:
            self.cliff_count += 1
            self.cliffs = [*self.cliffs, cliff][:LISTED]


def _basket(invoice: PastInvoice) -> Basket:
    """As it was asked about then; or else, made of the lines, with what is left of them."""
    if invoice.decided is not None:
        return replace(
            invoice.decided.basket,
            is_new_customer=invoice.is_first,
            is_first_invoice=invoice.is_first,
            country=invoice.country,
            customer_metadata=invoice.customer_metadata,
        )
    items = [line.item for line in invoice.lines if line.item is not None]
    return Basket(
        plan=items[0] if items else Reference("none"),
        addons=tuple(items[1:]),
        currency=invoice.currency,
        is_new_customer=invoice.is_first,
        is_first_invoice=invoice.is_first,
        country=invoice.country,
        customer_metadata=invoice.customer_metadata,
        lines=tuple(
            BasketLine(
                amount=line.amount - line.discount,
                plan=line.item,
                quantity=line.quantity,
                recurring=line.recurring,
                discountable=line.discountable,
            )
            for line in invoice.lines
        ),
    )


def _in_part(offer: Offer, invoice: PastInvoice) -> Offer:
    """Of a part of a period, where the invoice bills one: an amount in part."""
    billed = next((line.period for line in invoice.lines if line.recurring and line.period), None)
    if billed is None or billed.start <= invoice.period.start:
        return offer
    share = share_of(billed, invoice.period, invoice.zone, Proration.DAY)
    return offer_for(offer, share) if share.part < share.whole else offer


def _cliff(offer: Offer, code: str, basket: Basket, invoice: PastInvoice) -> Cliff | None:
    """Within a tenth of what the offer wants at least."""
    condition = _THRESHOLDS.get(code)
    if condition is None:
        return None
    lines = lines_for(offer, basket)
    if condition == "min_amounts":
        least = next(each for each in offer.conditions.min_amounts if each.currency == basket.currency)
        amount = total((line.amount for line in lines), basket.currency)
        near, was, wanted = amount.minor * 100 >= least.minor * NEAR_PERCENT, str(amount), str(least)
    else:
        units = offer.conditions.min_quantity
        assert units is not None, "no quantity is too low where none is wanted"
        has = sum(line.quantity.micro for line in lines if line.recurring and line.quantity)
        was, wanted = str(Measure(Measure(has).scaleb(-6))), str(units)
        near = has * 100 >= units.micro * NEAR_PERCENT
    if not near:
        return None
    return Cliff(
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        condition=condition,
        was=was,
        wanted=wanted,
    )


# ── What is counted of both ─────────────────────────────────────────────────────────────────────────────


def _added(
    before: Iterable[InCurrency], replayed: Iterable[tuple[PastInvoice, Money]]
) -> tuple[InCurrency, ...]:
    sums = {each.currency: each for each in before}
    for invoice, off in replayed:
        nothing = zero(invoice.currency)
        was = sums.get(invoice.currency) or InCurrency(
            currency=invoice.currency, billed=nothing, given=nothing, instead=nothing, cost=nothing
        )
        billed = total((line.amount for line in invoice.lines), invoice.currency)
        sums[invoice.currency] = InCurrency(
            currency=invoice.currency,
            billed=was.billed + billed,
            given=was.given + invoice.given,
            instead=was.instead + off,
            cost=was.cost + off - invoice.given,
        )
    return tuple(sums[currency] for currency in sorted(sums))


def _largest(winner: Winner) -> tuple[int, CustomerId]:
    return -winner.wins.minor, winner.customer_id
