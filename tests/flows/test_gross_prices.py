"""Prices with VAT, over HTTP, to the cent: the amounts of the design, in every order and every split."""

from itertools import permutations
from typing import Any

from kernel.database import Pool, transaction
from tests.books import accounts_of, assert_sound
from tests.flows.backend import Backend, Json, customer, euros, line, plan, welcome
from tests.flows.test_oracles import DISCOUNT, cents, check_adds_up, ids, taxes_of, the_invoice
from tests.makers import NOON

GROSS: Json = {"tax_behavior": "inclusive"}


async def a_gross_shop(backend: Backend) -> None:
    """A tenant of gross prices, with customers who are charged VAT and some who are not."""
    await backend.open_shop()
    await backend.patch("/v1/settings", GROSS)
    await backend.post(
        "/v1/tax_rates",
        {
            "reference": "reverse",
            "name": "Autoliquidation",
            "category": "AE",
            "rate": "0",
            "reason": "Autoliquidation, art. 283-2 du CGI",
        },
    )
    await backend.post("/v1/customers", customer("belgian", tax_rate="reverse", vat_number="BE0403170701"))


async def test_the_lines_of_the_design_as_gross(backend: Backend) -> None:
    await a_gross_shop(backend)

    invoice = await the_invoice(backend)

    assert [each["discount"]["minor"] for each in invoice["lines"]] == [13_89, 6_94, 4_17]
    assert [(tax["base"], tax["tax"]) for tax in invoice["taxes"]] == [
        (euros(40_82), euros(2_24)),
        (euros(93_28), euros(18_66)),
    ]
    assert cents(invoice) == (134_10, 20_90, 155_00)
    assert invoice["tax_behavior"] == "inclusive"


async def test_half_of_a_then_the_rest_of_it_with_c_then_b(backend: Backend) -> None:
    await a_gross_shop(backend)
    invoice = await the_invoice(backend)
    a, b, c = ids(invoice)

    notes = [
        await backend.credit(invoice, {"line": a, "amount": euros(43_06)}),
        await backend.credit(invoice, {"line": a}, {"line": c}),
        await backend.credit(invoice, {"line": b}),
    ]

    assert [cents(note)[:2] for note in notes] == [(35_88, 7_18), (57_40, 11_48), (40_82, 2_24)]
    await check_adds_up(backend, invoice, notes)


async def test_four_parts_by_amount_in_every_order(backend: Backend) -> None:
    await a_gross_shop(backend)
    for order in permutations([(0, 43_06), (0, 43_05), (1, 43_06), (2, 25_83)]):
        invoice = await the_invoice(backend)
        lines = ids(invoice)
        notes = [
            await backend.credit(invoice, {"line": lines[n], "amount": euros(minor)}) for n, minor in order
        ]
        await check_adds_up(backend, invoice, notes)


async def test_units_one_by_one_in_every_order(backend: Backend) -> None:
    """Four units of A, two of B, three of C, with the same amounts as in the design."""
    await a_gross_shop(backend)
    for order in sorted(set(permutations([(0, "2"), (0, "2"), (1, "1"), (1, "1"), (2, "3")]))):
        invoice = await backend.issue(
            line("25.00", quantity="4"),
            line("25.00", vat="5.5", quantity="2"),
            line("10.00", quantity="3"),
            **DISCOUNT,
        )
        lines = ids(invoice)
        assert cents(invoice) == (134_10, 20_90, 155_00)

        notes = [await backend.credit(invoice, {"line": lines[n], "quantity": many}) for n, many in order]

        halves = [note["total"]["minor"] for note, part in zip(notes, order, strict=True) if part[0] == 0]
        assert halves == [43_06, 43_05]
        await check_adds_up(backend, invoice, notes)


async def test_by_amount_and_by_quantity_mix(backend: Backend) -> None:
    """7 units for 100.00 less 0.01: no unit is a whole number of cents."""
    await a_gross_shop(backend)
    parts: list[Json] = [{"quantity": "3"}, {"amount": euros(11_11)}, {"quantity": "0.5"}]
    for order in permutations(parts):
        invoice = await backend.issue(
            line("14.2857", quantity="7", vat="5.5"),
            discounts=[{"name": "Arrondi", "amount": euros(1)}],
        )
        (only,) = ids(invoice)
        notes = [await backend.credit(invoice, {"line": only, **part}) for part in [*order, {}]]
        await check_adds_up(backend, invoice, notes)


async def test_three_lines_of_33_33_one_by_one(backend: Backend) -> None:
    """99.99 holds 83.33 (83.325) and 16.66."""
    await a_gross_shop(backend)
    for order in permutations(range(3)):
        invoice = await backend.issue(line("33.33"), line("33.33"), line("33.33"))
        assert cents(invoice) == (83_33, 16_66, 99_99)
        notes = [await backend.credit(invoice, {"line": ids(invoice)[n]}) for n in order]
        assert [cents(note)[:2] for note in notes] == [(27_78, 5_55), (27_77, 5_56), (27_78, 5_55)]
        await check_adds_up(backend, invoice, notes)


async def test_not_one_cent_more_than_the_gross_price(backend: Backend) -> None:
    await a_gross_shop(backend)
    invoice = await backend.issue(line("25.00", quantity="4"), **DISCOUNT)
    path, (only,) = f"/v1/invoices/{invoice['id']}/credit_notes", ids(invoice)

    async def refusal(**part: Any) -> tuple[int, str]:
        return await backend.refused(path, {"reason": "duplicate", "lines": [{"line": only, **part}]})

    await backend.credit(invoice, {"line": only, "quantity": "3"})

    assert await refusal(net=euros(1)) == (422, "credit_net_of_gross")
    assert await refusal(amount=euros(18_76)) == (409, "credit_exceeds_line")
    assert cents(await backend.credit(invoice, {"line": only, "amount": euros(18_75)})) == (
        15_62,
        3_13,
        18_75,
    )
    assert await refusal(quantity="1") == (409, "nothing_to_credit")


async def test_a_setting_changed_later_changes_nothing_that_is_there(backend: Backend, pool: Pool) -> None:
    """The invoice, the draft and the plan keep what they were made with."""
    await a_gross_shop(backend)
    await backend.post("/v1/plans", plan())
    body = {"customer": "user-42", "currency": "EUR", "lines": [line("120.00")]}
    draft = await backend.post("/v1/draft_invoices", body)
    invoice = await the_invoice(backend)

    await backend.patch("/v1/settings", {"tax_behavior": "exclusive"})

    signup = await backend.post("/v1/signups", {"customer": customer("user-77"), "plan": "pro"})
    assert cents(signup["invoice"]) == (24_17, 4_83, 29_00)
    drafted = await backend.post(f"/v1/draft_invoices/{draft['id']}/issue")
    assert cents(drafted) == (100_00, 20_00, 120_00)
    assert cents(await backend.issue(line("120.00"))) == (120_00, 24_00, 144_00)
    note = await backend.credit(invoice, {"line": ids(invoice)[0], "amount": euros(43_06)})
    assert cents(note) == (35_88, 7_18, 43_06)
    async with transaction(pool, backend.tenant, now=NOON) as tx:
        await assert_sound(tx)


async def test_a_draft_and_a_plan_may_say_otherwise(backend: Backend) -> None:
    await backend.open_shop()
    await backend.post("/v1/plans", plan(**GROSS))

    signup = await backend.post("/v1/signups", {"customer": customer("user-77"), "plan": "pro"})

    assert cents(signup["invoice"]) == (24_17, 4_83, 29_00)
    assert cents(await backend.issue(line("120.00"), **GROSS)) == (100_00, 20_00, 120_00)
    body = {"customer": "user-42", "currency": "EUR", "lines": [line("120.00")]}
    draft = await backend.post("/v1/draft_invoices", body)
    await backend.patch(f"/v1/draft_invoices/{draft['id']}", GROSS)
    assert cents(await backend.post(f"/v1/draft_invoices/{draft['id']}/issue")) == (100_00, 20_00, 120_00)


async def test_who_is_charged_no_vat_pays_the_net(backend: Backend) -> None:
    """Of a draft, of a plan, with an offer: what the others pay less the VAT."""
    await a_gross_shop(backend)
    await backend.post("/v1/plans", plan(price="120.00"))
    await backend.post("/v1/offers", welcome(benefit={"type": "fixed_amount", "amount": euros(30_00)}))
    unnamed = [{"description": "Conseil", "unit_price": price} for price in ("100.00", "30.00")]

    drafted = await backend.issue(*unnamed, customer="belgian", **DISCOUNT)
    theirs = await backend.post(
        "/v1/signups",
        {
            "customer": customer("dutch", tax_rate="reverse", vat_number="NL004495445B01"),
            "plan": "pro",
            "offer": "welcome",
        },
    )
    charged = await backend.issue(*unnamed, **DISCOUNT)
    ours = await backend.post(
        "/v1/signups", {"customer": customer("user-77"), "plan": "pro", "offer": "welcome"}
    )

    assert cents(charged) == (87_50, 17_50, 105_00)
    assert cents(drafted) == (87_50, 0, 87_50)
    assert cents(ours["invoice"]) == (75_00, 15_00, 90_00)
    assert cents(theirs["invoice"]) == (75_00, 0, 75_00)
    (line_,) = theirs["invoice"]["lines"]
    assert (line_["unit_price"], line_["amount"], line_["discount"]) == (
        "100.00",
        euros(100_00),
        euros(25_00),
    )
    assert theirs["invoice"]["tax_behavior"] == "exclusive"
    note = await backend.credit(drafted, {"line": ids(drafted)[0], "amount": euros(10_00)})
    assert cents(note) == (10_00, 0, 10_00)


async def test_another_countrys_vat_is_in_the_same_price(backend: Backend) -> None:
    """Whoever is charged VAT pays the price they were told, whatever the rate."""
    await a_gross_shop(backend)
    await backend.post("/v1/tax_rates", {"reference": "de-19", "name": "USt 19 %", "rate": "19"})
    await backend.post("/v1/customers", customer("german", tax_rate="de-19"))

    invoice = await backend.issue({"description": "Abo", "unit_price": "120.00"}, customer="german")

    assert cents(invoice) == (100_84, 19_16, 120_00)


async def test_the_books_of_gross_prices_are_sound(backend: Backend, pool: Pool) -> None:
    """Paid in part, credited in part: services net, VAT as it falls due."""
    await a_gross_shop(backend)
    invoice = await the_invoice(backend)
    a, b, _ = ids(invoice)
    await backend.post(
        f"/v1/invoices/{invoice['id']}/payments", {"means": "transfer", "amount": euros(100_00)}
    )
    await backend.credit(invoice, {"line": a, "amount": euros(43_06)}, {"line": b, "quantity": "0.5"})

    async with transaction(pool, backend.tenant, now=NOON) as tx:
        await assert_sound(tx)
        assert (await accounts_of(tx))["706"] == -(134_10 - 35_88 - 20_41)
    await backend.credit(invoice)
    async with transaction(pool, backend.tenant, now=NOON) as tx:
        await assert_sound(tx)
        assert "706" not in await accounts_of(tx)


async def test_a_cancellation_credits_the_unused_part_of_the_gross_price(backend: Backend) -> None:
    await a_gross_shop(backend)
    await backend.post("/v1/plans", plan(price="29.00"))
    signup = await backend.post("/v1/signups", {"customer": customer("user-77"), "plan": "pro"})

    cancelled = await backend.post(
        f"/v1/subscriptions/{signup['subscription']['id']}/cancel",
        {"when": "now", "credit": "prorated", "refund": "none"},
    )

    (note,) = cancelled["credit_notes"]
    assert note["total"] == euros(29_00)  # the first day is not used
    assert taxes_of(note) == taxes_of(signup["invoice"]) == {"20": 4_83}
