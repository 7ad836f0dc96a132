"""The amounts of the design, over HTTP, to the cent: however an invoice is credited, it adds up to it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import permutations
from typing import Any

from tests.flows.backend import Backend, Json, euros, line

DISCOUNT: dict[str, Any] = {"discounts": [{"name": "Bienvenue", "amount": euros(25_00)}]}


async def test_the_invoice_of_the_design(backend: Backend) -> None:
    invoice = await an_invoice(backend)
    assert [each["discount"]["minor"] for each in invoice["lines"]] == [13_89, 6_94, 4_17]
    assert taxes_of(invoice) == {"5.5": 2_37, "20": 22_39}
    assert (invoice["net"], invoice["tax"], invoice["total"]) == (euros(155_00), euros(24_76), euros(179_76))


async def test_the_credit_notes_of_the_design(backend: Backend) -> None:
    invoice = await an_invoice(backend)
    a, b, c = ids(invoice)

    half_of_a = await backend.credit(invoice, {"line": a, "net": euros(43_06)})
    rest_of_a_and_c = await backend.credit(invoice, {"line": a}, {"line": c})
    all_of_b = await backend.credit(invoice, {"line": b})

    assert cents(half_of_a) == (43_06, 8_61, 51_67)
    assert cents(rest_of_a_and_c) == (68_88, 13_78, 82_66)
    assert cents(all_of_b) == (43_06, 2_37, 45_43)
    assert 51_67 + 82_66 + 45_43 == 179_76


async def test_the_credit_notes_of_the_design_in_every_order(backend: Backend) -> None:
    await backend.open_shop()
    for order in permutations(["half of A", "rest of A and C", "B"]):
        invoice = await the_invoice(backend)
        a, b, c = ids(invoice)
        asked: dict[str, list[Json]] = {
            "half of A": [{"line": a, "net": euros(43_06)}],
            "rest of A and C": [{"line": a, "net": euros(43_05)}, {"line": c, "net": euros(25_83)}],
            "B": [{"line": b, "net": euros(43_06)}],
        }
        notes = [await backend.credit(invoice, *asked[part]) for part in order]
        await check_adds_up(backend, invoice, notes)


async def test_four_parts_by_amount_in_every_order(backend: Backend) -> None:
    await backend.open_shop()
    for order in permutations([(0, 43_06), (0, 43_05), (1, 43_06), (2, 25_83)]):
        invoice = await the_invoice(backend)
        lines = ids(invoice)
        notes = [await backend.credit(invoice, {"line": lines[n], "net": euros(minor)}) for n, minor in order]
        await check_adds_up(backend, invoice, notes)


async def test_units_one_by_one_in_every_order(backend: Backend) -> None:
    """Four units of A, two of B, three of C, with the same amounts as in the design."""
    await backend.open_shop()
    for order in sorted(set(permutations([(0, "2"), (0, "2"), (1, "1"), (1, "1"), (2, "3")]))):
        invoice = await backend.issue(
            line("25.00", quantity="4"),
            line("25.00", vat="5.5", quantity="2"),
            line("10.00", quantity="3"),
            **DISCOUNT,
        )
        lines = ids(invoice)
        assert invoice["total"] == euros(179_76)

        notes = [await backend.credit(invoice, {"line": lines[n], "quantity": many}) for n, many in order]

        first_half, second_half = (
            cents(note)[0] for note, part in zip(notes, order, strict=True) if part[0] == 0
        )
        assert (first_half, second_half) == (43_06, 43_05)
        await check_adds_up(backend, invoice, notes)


async def test_by_amount_and_by_quantity_mix(backend: Backend) -> None:
    """7 units for 100.00 less 0.01: no unit is a whole number of cents."""
    await backend.open_shop()
    parts: list[Json] = [{"quantity": "3"}, {"net": euros(11_11)}, {"quantity": "0.5"}]
    for order in permutations(parts):
        invoice = await backend.issue(
            line("14.2857", quantity="7", vat="5.5"),
            discounts=[{"name": "Arrondi", "amount": euros(1)}],
        )
        (only,) = ids(invoice)
        notes = [await backend.credit(invoice, {"line": only, **part}) for part in [*order, {}]]
        await check_adds_up(backend, invoice, notes)


async def test_three_lines_of_33_33_one_by_one(backend: Backend) -> None:
    await backend.open_shop()
    for order in permutations(range(3)):
        invoice = await backend.issue(line("33.33"), line("33.33"), line("33.33"))
        assert cents(invoice) == (99_99, 20_00, 119_99)
        lines = ids(invoice)
        notes = [await backend.credit(invoice, {"line": lines[n]}) for n in order]
        assert [cents(note)[1] for note in notes] == [6_67, 6_66, 6_67]
        await check_adds_up(backend, invoice, notes)


async def test_not_one_cent_and_not_one_unit_more(backend: Backend) -> None:
    await backend.open_shop()
    invoice = await backend.issue(line("25.00", quantity="4"), **DISCOUNT)
    path, (only,) = f"/v1/invoices/{invoice['id']}/credit_notes", ids(invoice)
    await backend.credit(invoice, {"line": only, "quantity": "3"})

    async def refusal(**part: Any) -> tuple[int, str]:
        return await backend.refused(path, {"reason": "duplicate", "lines": [{"line": only, **part}]})

    assert await refusal(quantity="1.000001") == (409, "credit_exceeds_quantity")
    assert await refusal(net=euros(18_76)) == (409, "credit_exceeds_line")
    assert cents(await backend.credit(invoice, {"line": only, "net": euros(18_75)})) == (18_75, 3_75, 22_50)
    assert await refusal(quantity="1") == (409, "nothing_to_credit")
    assert await backend.refused(path, {"reason": "duplicate"}) == (409, "nothing_to_credit")


# ── what is always true ──────────────────────────────────────────────────────────────────────────


async def check_adds_up(backend: Backend, invoice: Json, notes: Sequence[Json]) -> None:
    """Per line, per rate and in total; each note's VAT is what telescoping says; nothing is left."""
    check_telescopes(notes)
    assert sum_of(taxes_of(note) for note in notes) == taxes_of(invoice)
    assert sum_of(billed_of(note, "invoice_line_id") for note in notes) == billed_of(invoice, "id")
    assert sum(note["net"]["minor"] for note in notes) == invoice["net"]["minor"]
    assert sum(note["total"]["minor"] for note in notes) == invoice["total"]["minor"]

    after = await backend.get(f"/v1/invoices/{invoice['id']}")
    settlement = after["settlement"]
    assert (settlement["status"], settlement["due"]["minor"]) == ("settled", 0)
    assert settlement["credited"] == settlement["offset"] == invoice["total"]
    refusal = await backend.refused(f"/v1/invoices/{invoice['id']}/credit_notes", {"reason": "duplicate"})
    assert refusal == (409, "nothing_to_credit")


def check_telescopes(notes: Sequence[Json]) -> None:
    """Worked out here in decimals: the house works in integers."""
    net: dict[str, Decimal] = defaultdict(Decimal)
    tax: dict[str, Decimal] = defaultdict(Decimal)
    for note in notes:
        assert sum(each["net"]["minor"] for each in note["lines"]) == note["net"]["minor"]
        for each in note["taxes"]:
            rate = each["group"]["rate"]
            net[rate] += each["base"]["minor"]
            tax[rate] += each["tax"]["minor"]
            share = Decimal(rate) / 100
            if note["tax_behavior"] == "inclusive":
                assert net[rate] == _rounded((net[rate] + tax[rate]) / (1 + share)), note
            else:
                assert tax[rate] == _rounded(net[rate] * share), note


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1), ROUND_HALF_UP)


def cents(document: Json) -> tuple[int, int, int]:
    return document["net"]["minor"], document["tax"]["minor"], document["total"]["minor"]


def ids(invoice: Json) -> list[str]:
    return [each["id"] for each in invoice["lines"]]


def taxes_of(document: Json) -> Counter[str]:
    return Counter({each["group"]["rate"]: each["tax"]["minor"] for each in document["taxes"]})


def billed_of(document: Json, key: str) -> Counter[str]:
    """Per line, in the prices of the document."""
    lines = document["lines"]
    return Counter({each[key]: each["net"]["minor"] + each["included_tax"]["minor"] for each in lines})


def sum_of(counters: Any) -> Counter[str]:
    return sum(counters, Counter())


async def an_invoice(backend: Backend) -> Json:
    await backend.open_shop()
    return await the_invoice(backend)


async def the_invoice(backend: Backend) -> Json:
    return await backend.issue(line("100.00"), line("50.00", vat="5.5"), line("30.00"), **DISCOUNT)
