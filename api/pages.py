"""Answering with a document's page."""

from litestar import Response


def pdf_response(pdf: bytes, number: str) -> Response[bytes]:
    """Numbers hold `/` and are file names here; nothing else in them needs care (ASCII, at most 35)."""
    file_name = number.replace("/", "-")
    return Response(
        pdf,
        media_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{file_name}.pdf"'},
    )
