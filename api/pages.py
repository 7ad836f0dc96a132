"""Answering with what is no JSON: a document's page, a table as CSV."""

import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import datetime

from litestar import Response
from litestar.response import Stream

Cells = Sequence[str | int | datetime | None]


def pdf_response(pdf: bytes, number: str) -> Response[bytes]:
    """Numbers hold `/` and are file names here; nothing else in them needs care (ASCII, at most 35)."""
    file_name = number.replace("/", "-")
    return Response(
        pdf,
        media_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{file_name}.pdf"'},
    )


def csv_response(header: Sequence[str], chunks: AsyncIterable[Iterable[Cells]], file_name: str) -> Stream:
    """Goes out chunk by chunk, however long it is; comma, CRLF and UTF-8, as RFC 4180 says."""
    return Stream(
        _lines(header, chunks),
        media_type="text/csv; header=present",
        headers={"Content-Disposition": f'attachment; filename="{file_name}.csv"'},
    )


async def _lines(header: Sequence[str], chunks: AsyncIterable[Iterable[Cells]]) -> AsyncIterator[str]:
    yield _written([header])
    async for chunk in chunks:
        yield _written(chunk)


def _written(rows: Iterable[Cells]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: str | int | datetime | None) -> str | int | None:
    """What begins like a formula is one to a spreadsheet, unless a ' stands before it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )
