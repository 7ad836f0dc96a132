"""Numbers without a gap, in the order of their dates.

A series belongs to one legal entity, kind and year (0 where the format has no year). Its row is counted up
in the issuing transaction, as the last lock that transaction takes: what rolls back gives its number back,
and nobody is dated before the document that was numbered before it (CGI ann. II art. 242 nonies A, I-7).

Invoices are numbered in the statement that writes them (billing/invoices/record.py), credit notes here.
"""

from datetime import date, datetime
from enum import StrEnum

from billing.parties.model import LegalEntity
from kernel.database import Tx
from kernel.periods import local_date
from kernel.structs import Value, load


class Series(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class Numbered(Value, frozen=True, kw_only=True):
    """The date is today, or the series' last one if that is later."""

    number: str
    issued_on: date


class Numbering(Value, frozen=True, kw_only=True):
    """Which series a document issued now is numbered in, and how; `form` is `F{year}-{number}`."""

    form: str
    year: int
    today: date


def numbering(entity: LegalEntity, series: Series, *, now: datetime) -> Numbering:
    form = entity.invoice_number_format if series is Series.INVOICE else entity.credit_note_number_format
    today = local_date(now, entity.zone)
    return Numbering(form=form, year=today.year if "{year}" in form else 0, today=today)


async def hold(tx: Tx, entity: LegalEntity, series: Series) -> None:
    """Lock the series without a number, where a note is numbered before the invoice that replaces it.

    Series are locked in one order, that of invoices before that of credit notes; one that has not begun, too.
    """
    place = numbering(entity, series, now=tx.now)
    await tx.conn.execute(
        """
        INSERT INTO number_series AS s
            (tenant_id, legal_entity_id, kind, year, last_number, last_issued_on)
        VALUES ($1, $2, $3, $4, 0, $5)
        ON CONFLICT (tenant_id, legal_entity_id, kind, year) DO UPDATE
        SET last_number = s.last_number
        """,
        tx.tenant,
        entity.id,
        series,
        place.year,
        place.today,
    )


async def take_number(tx: Tx, entity: LegalEntity, series: Series) -> Numbered:
    """The next number of the series, and the date to issue on."""
    place = numbering(entity, series, now=tx.now)
    row = await tx.conn.fetchrow(
        """
        INSERT INTO number_series AS s
            (tenant_id, legal_entity_id, kind, year, last_number, last_issued_on)
        VALUES ($1, $2, $3, $4, 1, $5)
        ON CONFLICT (tenant_id, legal_entity_id, kind, year) DO UPDATE
        SET last_number    = s.last_number + 1,
            last_issued_on = GREATEST(s.last_issued_on, EXCLUDED.last_issued_on)
        RETURNING document_number($6, $4, last_number) AS number, last_issued_on AS issued_on
        """,
        tx.tenant,
        entity.id,
        series,
        place.year,
        place.today,
        place.form,
    )
    assert row is not None, "an upsert returns its row"
    return load(row, Numbered)
