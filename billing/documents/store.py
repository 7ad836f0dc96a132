"""Every SQL statement about rendered documents. They are inserted once and read."""

import hashlib

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from kernel.database import Tx


async def find(tx: Tx, document_id: InvoiceId | CreditNoteId) -> bytes | None:
    pdf: bytes | None = await tx.conn.fetchval(
        """
        SELECT pdf
        FROM rendered_documents
        WHERE tenant_id = $1 AND document_id = $2
        """,
        tx.tenant,
        document_id,
    )
    return pdf


async def insert(tx: Tx, document_id: InvoiceId | CreditNoteId, pdf: bytes) -> None:
    """Whoever comes second leaves what the first one kept."""
    await tx.conn.execute(
        """
        INSERT INTO rendered_documents (tenant_id, document_id, sha256, pdf, rendered_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, document_id) DO NOTHING
        """,
        tx.tenant,
        document_id,
        hashlib.sha256(pdf).digest(),
        pdf,
        tx.now,
    )
