-- A credit note is applied to another invoice: booked as what it is, a refund on one and a receipt on the other.

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_document;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_document
    CHECK (document IN ('invoice', 'credit_note', 'payment', 'refund', 'application'));
