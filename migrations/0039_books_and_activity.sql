-- Books are of an invoice, or of a note or a payment that is on none; and which events are about which document.

ALTER TABLE ledger_entries ADD COLUMN credit_note_id uuid;
ALTER TABLE ledger_entries ADD COLUMN payment_id uuid;
COMMENT ON COLUMN ledger_entries.credit_note_id IS 'in whose books, where it is a note that is on no one invoice';
COMMENT ON COLUMN ledger_entries.payment_id IS 'in whose books, where it is money that is on no invoice';
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_in_one_book
    CHECK (num_nonnulls(invoice_id, credit_note_id, payment_id) <= 1);
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_credit_note
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_payment
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payments;
CREATE INDEX ledger_entries_of_credit_note ON ledger_entries (tenant_id, credit_note_id, account)
    WHERE credit_note_id IS NOT NULL;
CREATE INDEX ledger_entries_of_payment ON ledger_entries (tenant_id, payment_id, account)
    WHERE payment_id IS NOT NULL;

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_document;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_document
    CHECK (document IN ('invoice', 'credit_note', 'payment', 'refund', 'application', 'rebate_accrual', 'use',
                        'deposit', 'dispute', 'import'));

ALTER TABLE events ADD COLUMN actor text;
COMMENT ON COLUMN events.actor IS 'the API key that called for it; null for what happens by itself';

-- What happened to a document: without a foreign key, since it may be about any kind of it.
CREATE TABLE event_documents (
    tenant_id   uuid NOT NULL,
    document_id uuid NOT NULL,
    event_id    uuid NOT NULL,
    CONSTRAINT event_documents_pk PRIMARY KEY (tenant_id, document_id, event_id)
);
CALL tenant_table('event_documents', 'SELECT, INSERT');
