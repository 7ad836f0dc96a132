"""Numbers without a gap, in the order of their dates.

A series belongs to one legal entity, kind and year (0 where the format has no year). Its row is counted up
in the issuing transaction, as the last lock that transaction takes: what rolls back gives its number back,
and nobody is dated before the document that was numbered before it (CGI ann. II art. 242 nonies A, I-7).
"""

from datetime import date
from enum import StrEnum

from billing.parties.model import LegalEntity
from kernel.database import Tx
from kernel.periods import local_date
from kernel.structs import Value


class Series(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class Numbered(Value, frozen=True, kw_only=True):
    number: str
    issued_on: date


async def take_number(tx: Tx, entity: LegalEntity, series: Series) -> Numbered:
    """The next number of the series and the date to issue on: today, or the series' last date if later."""
    form = _format(entity, series)
    today = local_date(tx.now, entity.zone)
    year = today.year if "{year}" in form else 0
    counter, issued_on = await _count_up(tx, entity, series, year, today)
    return Numbered(
        number=form.replace("{year}", str(year)).replace("{number}", f"{counter:06d}"),
        issued_on=issued_on,
    )


def _format(entity: LegalEntity, series: Series) -> str:
    match series:
        case Series.INVOICE:
            return entity.invoice_number_format
        case Series.CREDIT_NOTE:
            return entity.credit_note_number_format


async def _count_up(tx: Tx, entity: LegalEntity, series: Series, year: int, today: date) -> tuple[int, date]:
    row = await tx.conn.fetchrow(
        """
        INSERT INTO number_series AS s
            (tenant_id, legal_entity_id, kind, year, last_number, last_issued_on)
        VALUES ($1, $2, $3, $4, 1, $5)
        ON CONFLICT (tenant_id, legal_entity_id, kind, year) DO UPDATE
        SET last_number    = s.last_number + 1,
            last_issued_on = GREATEST(s.last_issued_on, EXCLUDED.last_issued_on)
        RETURNING last_number, last_issued_on
        """,
        tx.tenant,
        entity.id,
        series,
        year,
        today,
    )
    assert row is not None, "an upsert returns its row"
    return row["last_number"], row["last_issued_on"]
