"""What must be true of a tenant's books after every verb, worked out again from the rows alone."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import floor
from typing import Any

from kernel.database import Tx
from kernel.structs import Row

_GROUP = "{category}/{rate_ppm}/{reason}"


async def assert_sound(tx: Tx) -> None:
    """Documents add up, the ledger balances, settlements are sums of their edges, VAT follows its formula."""
    await assert_balanced(tx)
    await _assert_added_up(tx, "invoice")
    await _assert_added_up(tx, "credit_note")
    await _assert_spread(tx)
    await _assert_lines_left(tx)
    invoices = await _rows(
        tx, "SELECT i.*, s.* FROM invoices i JOIN invoice_settlements s ON s.invoice_id = i.id"
    )
    for invoice in invoices:
        await _assert_settled(tx, invoice)
        await _assert_vat(tx, invoice)
    for note in await _rows(
        tx, "SELECT c.id, s.* FROM credit_notes c JOIN credit_note_settlements s ON s.credit_note_id = c.id"
    ):
        await _assert_used(tx, note)
    for note in await _rows(
        tx,
        """
        SELECT c.*, s.* FROM credit_notes c JOIN credit_note_settlements s ON s.credit_note_id = c.id
        WHERE c.invoice_id IS NULL AND c.rebate IS NULL
        """,
    ):
        await _assert_own_books(tx, note)
    await assert_owed(tx)
    await _assert_deducted(tx)
    for payment in await _rows(tx, "SELECT * FROM payments"):
        await _assert_payment(tx, payment)


async def _assert_payment(tx: Tx, payment: Row) -> None:
    """What is set aside of it is what refunds and disputes say; what was lost is booked."""
    of_it = "payment_id = $1 AND status"
    back = await _sum(
        tx, f"refunds WHERE {of_it} IN ('scheduled', 'pending', 'succeeded', 'failed')", payment["id"]
    )
    disputed = await _sum(tx, f"disputes WHERE {of_it} IN ('open', 'lost')", payment["id"])
    lost = await _sum(tx, f"disputes WHERE {of_it} = 'lost'", payment["id"])
    booked = await _sum(
        tx,
        "ledger_entries WHERE document = 'dispute' AND account = '512'"
        " AND document_id IN (SELECT id FROM disputes WHERE payment_id = $1)",
        payment["id"],
    )
    assert payment["refunded_minor"] == back <= payment["amount_minor"]
    assert (payment["disputed_minor"], payment["charged_back_minor"]) == (disputed, lost)
    assert booked == -lost
    waiting = await _sum(tx, "refunds WHERE payment_id = $1 AND blocked", payment["id"])
    assert not waiting or disputed > lost, "what is blocked waits for a dispute that is open"
    if payment["invoice_id"] is None:
        await _assert_unallocated(tx, payment)


async def _assert_unallocated(tx: Tx, payment: Row) -> None:
    """What is matched with invoices is not in its own books any more."""
    key, left = payment["id"], payment["unallocated_minor"]
    matched = await _sum(tx, "settlements WHERE payment_id = $1 AND undone_at IS NULL", key)
    alone = "refunds WHERE payment_id = $1 AND credit_note_id IS NULL AND"
    held = await _sum(tx, f"{alone} of_rest AND status IN ('scheduled', 'pending', 'failed')", key)
    gone = await _sum(tx, f"{alone} of_rest AND status = 'succeeded'", key)
    unlinked = await _sum(tx, f"{alone} NOT of_rest AND status = 'succeeded'", key)
    assert left == payment["amount_minor"] - matched - payment["charged_back_minor"] - held - gone
    own = await _sum(tx, "ledger_entries WHERE payment_id = $1 AND account = '411'", key)
    assert own == unlinked - left - held


async def accounts_of(tx: Tx) -> dict[str, int]:
    """The balance of every account that has one: debit positive, in minor units."""
    rows = await _rows(
        tx, "SELECT account, sum(amount_minor)::bigint AS minor FROM ledger_entries GROUP BY account"
    )
    return {row["account"]: row["minor"] for row in rows if row["minor"]}


async def assert_balanced(tx: Tx) -> None:
    for per in ("transaction_id", "document_id"):
        unbalanced = await _rows(
            tx, f"SELECT {per} FROM ledger_entries GROUP BY {per}, currency HAVING sum(amount_minor) <> 0"
        )
        assert not unbalanced, f"{unbalanced} do not sum to zero"


async def _assert_added_up(tx: Tx, kind: str) -> None:
    """Lines and VAT groups come to the document; the VAT in its prices is all of it, or none."""
    for document in await _rows(tx, f"SELECT * FROM {kind}s"):
        key, net, tax = document["id"], document["net_minor"], document["tax_minor"]
        included = tax if document["tax_behavior"] == "inclusive" else 0
        lines, taxes = f"{kind}_lines WHERE {kind}_id = $1", f"{kind}_taxes WHERE {kind}_id = $1"
        assert await _sum(tx, lines, key, column="net_minor") == net
        assert await _sum(tx, lines, key, column="included_tax_minor") == included
        assert await _sum(tx, taxes, key, column="base_minor") == net
        assert await _sum(tx, taxes, key, column="tax_minor") == tax


async def _assert_settled(tx: Tx, invoice: Row) -> None:
    key, total = invoice["invoice_id"], invoice["total_minor"]
    live = "settlements WHERE invoice_id = $1 AND undone_at IS NULL"
    deposits = await _deposits(tx, key)
    paid = await _sum(tx, f"{live} AND payment_id IS NOT NULL", key) + deposits
    offset = await _sum(tx, f"{live} AND credit_note_id IS NOT NULL", key)
    pending = await _sum(tx, "payments WHERE invoice_id = $1 AND status = 'pending'", key)
    received = deposits + await _received(tx, key)
    credited = await _sum(tx, "credit_note_sources WHERE invoice_id = $1", key, column="total_minor")
    refunded = await _sum(tx, "refunds WHERE invoice_id = $1 AND status = 'succeeded'", key)
    receivable = await _sum(tx, "ledger_entries WHERE invoice_id = $1 AND account = '411'", key)

    assert (invoice["paid_minor"], invoice["offset_minor"], invoice["pending_minor"]) == (
        paid,
        offset,
        pending,
    )
    assert (invoice["credited_minor"], paid) == (credited, received)
    applied = await _applied_net(tx, key)
    given = refunded + await _marked(tx, key)
    assert receivable == total - received - credited + given - applied + await _moved(tx, key)
    settled = paid + offset
    expected = "settled" if settled == total else "partly_settled" if settled else "open"
    assert invoice["status"] == expected
    assert (invoice["settled_at"] is not None) == (expected == "settled")


async def assert_owed(tx: Tx) -> None:
    """What a customer owes: what is due, less the rests of their notes and of money on no invoice."""
    wrong = await _rows(
        tx,
        """
        SELECT k.customer_id, k.currency, k.booked, COALESCE(i.due, 0) AS due, COALESCE(n.rest, 0) AS rest
        FROM (
            SELECT customer_id, currency, sum(amount_minor) FILTER (WHERE account = '411') AS booked
            FROM ledger_entries
            GROUP BY customer_id, currency
        ) k
        LEFT JOIN (
            SELECT i.customer_id, i.currency, sum(s.total_minor - s.paid_minor - s.offset_minor) AS due
            FROM invoices i JOIN invoice_settlements s ON s.invoice_id = i.id
            GROUP BY i.customer_id, i.currency
        ) i ON i.customer_id = k.customer_id AND i.currency = k.currency
        LEFT JOIN (
            SELECT c.customer_id, c.currency,
                   sum(s.total_minor - s.applied_minor - s.refunded_minor - s.marked_minor) AS rest
            FROM credit_notes c JOIN credit_note_settlements s ON s.credit_note_id = c.id
            GROUP BY c.customer_id, c.currency
        ) n ON n.customer_id = k.customer_id AND n.currency = k.currency
        LEFT JOIN (
            SELECT customer_id, currency, sum(unallocated_minor) AS rest
            FROM payments
            GROUP BY customer_id, currency
        ) p ON p.customer_id = k.customer_id AND p.currency = k.currency
        LEFT JOIN (
            SELECT customer_id, currency,
                   sum(CASE WHEN of_rest THEN -amount_minor ELSE amount_minor END) AS unlinked
            FROM refunds
            WHERE credit_note_id IS NULL
              AND (CASE WHEN of_rest THEN status IN ('scheduled', 'pending', 'failed')
                        ELSE status = 'succeeded' END)
            GROUP BY customer_id, currency
        ) r ON r.customer_id = k.customer_id AND r.currency = k.currency
        WHERE k.booked <> COALESCE(i.due, 0) - COALESCE(n.rest, 0) - COALESCE(p.rest, 0)
                          + COALESCE(r.unlinked, 0)
        """,
    )
    assert not wrong, wrong


async def _assert_used(tx: Tx, note: Row) -> None:
    key, total = note["credit_note_id"], note["total_minor"]
    applied = await _sum(tx, "settlements WHERE credit_note_id = $1 AND undone_at IS NULL", key)
    refunded = await _sum(tx, "refunds WHERE credit_note_id = $1 AND status = 'succeeded'", key)
    held = await _sum(
        tx, "refunds WHERE credit_note_id = $1 AND status IN ('scheduled', 'pending', 'failed')", key
    )

    assert (note["applied_minor"], note["refunded_minor"], note["held_minor"]) == (applied, refunded, held)
    marked = await _sum(
        tx,
        "ledger_entries WHERE document_id = $1 AND account = '411'"
        " AND (document = 'use' OR document = 'import' AND amount_minor > 0)",
        key,
    )
    assert note["marked_minor"] == marked
    used = applied + refunded + marked
    assert used + held + note["promised_minor"] <= total
    assert note["status"] == ("used" if used == total else "partly_used" if used else "unused")


async def _assert_vat(tx: Tx, invoice: Row) -> None:
    """Per group: round_half_up((tax - credited tax) x min(1, (received - refunded) / (total - credited))).

    A deposit that is deducted is a receipt on the final invoice, and its own VAT is gone.
    """
    key = invoice["invoice_id"]
    received = await _received(tx, key)
    refunded = await _sum(tx, "refunds WHERE invoice_id = $1 AND status = 'succeeded'", key)
    left = invoice["total_minor"] - invoice["credited_minor"]
    money = received + await _deposits(tx, key) - refunded - await _marked(tx, key)
    money += await _applied_net(tx, key) - await _moved(tx, key)
    share = min(Fraction(1), Fraction(money, left)) if left else Fraction(0)
    credited = _by_group(
        await _rows(
            tx,
            "SELECT * FROM credit_note_source_taxes WHERE invoice_id = $1",
            key,
        ),
        "tax_minor",
    )
    booked = await _rows(
        tx,
        """
        SELECT account, amount_minor, tax_category AS category, tax_rate_ppm AS rate_ppm, tax_reason AS reason
        FROM ledger_entries
        WHERE invoice_id = $1 AND account IN ('44571', '4458')
        """,
        key,
    )
    collected = _by_group((row for row in booked if row["account"] == "44571"), "amount_minor")
    waiting = _by_group((row for row in booked if row["account"] == "4458"), "amount_minor")
    for tax in await _rows(tx, "SELECT * FROM invoice_taxes WHERE invoice_id = $1", key):
        group = _GROUP.format(**tax)
        remaining = tax["tax_minor"] - credited.get(group, 0)
        on_invoice = invoice["vat_due"] == "on_invoice"
        if invoice["deducted_by"] is not None:
            remaining = 0
        due = remaining if on_invoice else floor(remaining * share + Fraction(1, 2))
        assert (-collected.get(group, 0), -waiting.get(group, 0)) == (due, remaining - due)


async def _assert_own_books(tx: Tx, note: Row) -> None:
    """A note on no invoice: its VAT is no longer due by round_half_up(tax x used / total)."""
    key, total = note["credit_note_id"], note["total_minor"]
    used = note["applied_minor"] + note["refunded_minor"] + note["marked_minor"]
    booked = await _rows(
        tx,
        """
        SELECT account, amount_minor, tax_category AS category, tax_rate_ppm AS rate_ppm, tax_reason AS reason
        FROM ledger_entries
        WHERE credit_note_id = $1 AND account IN ('44571', '4458')
        """,
        key,
    )
    collected = _by_group((row for row in booked if row["account"] == "44571"), "amount_minor")
    waiting = _by_group((row for row in booked if row["account"] == "4458"), "amount_minor")
    for tax in await _rows(tx, "SELECT * FROM credit_note_taxes WHERE credit_note_id = $1", key):
        group, whole = _GROUP.format(**tax), tax["tax_minor"]
        on_invoice = note["vat_due"] == "on_invoice"
        due = whole if on_invoice else floor(whole * Fraction(used, total) + Fraction(1, 2))
        assert (collected.get(group, 0), waiting.get(group, 0)) == (due, whole - due)
    receivable = await _sum(tx, "ledger_entries WHERE credit_note_id = $1 AND account = '411'", key)
    assert receivable == used - total


async def _assert_deducted(tx: Tx) -> None:
    """A deposit that is deducted is settled, its 4191 is empty, and the final invoice has what it held."""
    wrong = await _rows(
        tx,
        """
        SELECT d.invoice_id, d.total_minor - d.credited_minor AS deducted, e.amount_minor, l.left_over
        FROM invoice_settlements d
        JOIN invoices i ON i.id = d.invoice_id
        LEFT JOIN settlements e ON e.deposit_id = d.invoice_id AND e.undone_at IS NULL
        CROSS JOIN LATERAL (SELECT COALESCE(-sum(amount_minor), 0) AS left_over FROM ledger_entries
                            WHERE invoice_id = d.invoice_id AND account = '4191') l
        WHERE (d.deducted_by, d.total_minor - d.credited_minor)
                  IS DISTINCT FROM (e.invoice_id, COALESCE(e.amount_minor, d.total_minor - d.credited_minor))
           OR l.left_over <> CASE WHEN i.kind <> 'deposit' OR d.deducted_by IS NOT NULL THEN 0
                                  ELSE i.net_minor - (SELECT COALESCE(sum(net_minor), 0)
                                                      FROM credit_note_sources
                                                      WHERE invoice_id = d.invoice_id) END
        """,
    )
    assert not wrong, wrong


async def _deposits(tx: Tx, invoice_id: object) -> int:
    return await _sum(
        tx, "settlements WHERE invoice_id = $1 AND deposit_id IS NOT NULL AND undone_at IS NULL", invoice_id
    )


async def _received(tx: Tx, invoice_id: object) -> int:
    """What its payments brought, less what disputes took back of them, and money that came for no invoice."""
    came = await _sum(tx, "payments WHERE invoice_id = $1 AND status = 'succeeded'", invoice_id)
    lost = await _sum(tx, "payments WHERE invoice_id = $1", invoice_id, column="charged_back_minor")
    return (
        came
        - lost
        + await _sum(
            tx,
            "settlements s JOIN payments p ON p.id = s.payment_id"
            " WHERE s.invoice_id = $1 AND s.undone_at IS NULL AND p.invoice_id IS NULL",
            invoice_id,
            column="s.amount_minor",
        )
    )


async def _applied_net(tx: Tx, invoice_id: object) -> int:
    """What notes of other invoices pay on it, less what its own notes pay on others."""
    applications = """
        settlements s JOIN credit_notes c ON c.id = s.credit_note_id
        WHERE s.undone_at IS NULL AND NOT s.is_own AND
    """
    came = await _sum(tx, f"{applications} s.invoice_id = $1", invoice_id)
    return came - await _sum(tx, f"{applications} c.invoice_id = $1", invoice_id)


async def _marked(tx: Tx, invoice_id: object) -> int:
    """What of its notes was settled elsewhere."""
    return await _sum(
        tx,
        "credit_notes c JOIN credit_note_settlements s ON s.credit_note_id = c.id WHERE c.invoice_id = $1",
        invoice_id,
        column="marked_minor",
    )


async def _moved(tx: Tx, invoice_id: object) -> int:
    """What rebates over many invoices took off it that had been paid: it is theirs to give back."""
    return await _sum(
        tx,
        "credit_note_sources s JOIN credit_notes c ON c.id = s.credit_note_id"
        " WHERE s.invoice_id = $1 AND c.invoice_id IS NULL",
        invoice_id,
        column="s.total_minor - s.to_invoice_minor",
    )


async def _assert_spread(tx: Tx) -> None:
    """What a note takes off its invoices comes to the note, group by group; so do its lines on each."""
    wrong = await _rows(
        tx,
        """
        SELECT c.number
        FROM credit_notes c
        WHERE (c.invoice_id IS NOT NULL OR c.rebate IS NOT NULL)
          AND (c.net_minor, c.tax_minor, c.to_invoice_minor) IS DISTINCT FROM (
                  SELECT (sum(net_minor)::bigint, sum(tax_minor)::bigint,
                          sum(to_invoice_minor)::bigint)
                  FROM credit_note_sources s WHERE s.credit_note_id = c.id)
        UNION ALL
        SELECT category || invoice_id
        FROM (SELECT credit_note_id, NULL AS invoice_id, category, rate_ppm, reason, base_minor, tax_minor
              FROM credit_note_taxes
              WHERE credit_note_id IN (SELECT credit_note_id FROM credit_note_sources)
              UNION ALL
              SELECT credit_note_id, NULL, category, rate_ppm, reason, -base_minor, -tax_minor
              FROM credit_note_source_taxes) t
        GROUP BY credit_note_id, invoice_id, category, rate_ppm, reason
        HAVING sum(base_minor) <> 0 OR sum(tax_minor) <> 0
        UNION ALL
        SELECT 'tax beyond the invoice ' || i.invoice_id
        FROM invoice_taxes i
        JOIN (SELECT invoice_id, category, rate_ppm, reason, sum(base_minor) AS base, sum(tax_minor) AS tax
              FROM credit_note_source_taxes GROUP BY invoice_id, category, rate_ppm, reason) c
        USING (invoice_id, category, rate_ppm, reason)
        WHERE c.base > i.base_minor OR c.tax > i.tax_minor OR c.base < 0 OR c.tax < 0
           OR (c.base = i.base_minor AND c.tax <> i.tax_minor)
        """,
    )
    assert not wrong, wrong


async def _assert_lines_left(tx: Tx) -> None:
    """Of each line: left = volume - rebates in force - other reductions, and none of them below zero."""
    wrong = await _rows(
        tx,
        """
        SELECT l.id, left_, volume, rebate
        FROM (SELECT l.id,
                     l.amount_minor - l.discount_minor - sum(c.net_minor + c.included_tax_minor) AS left_,
                     l.amount_minor - l.discount_minor - sum(c.volume_minor) AS volume,
                     sum(c.rebate_minor) AS rebate
              FROM invoice_lines l JOIN credit_note_lines c ON c.invoice_line_id = l.id
              GROUP BY l.tenant_id, l.id) l
        WHERE left_ < 0 OR rebate < 0 OR volume < left_ + rebate
        """,
    )
    assert not wrong, wrong


def _by_group(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        group = _GROUP.format(**row)
        sums[group] = sums.get(group, 0) + row[column]
    return sums


async def _rows(tx: Tx, statement: str, *arguments: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.conn.fetch(statement, *arguments)]


async def _sum(tx: Tx, rows: str, key: object, *, column: str = "amount_minor") -> int:
    return int(await tx.conn.fetchval(f"SELECT COALESCE(sum({column}), 0) FROM {rows}", key))
