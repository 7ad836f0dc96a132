-- A note may be marked used by hand; and when what is left of notes pays other invoices.

ALTER TABLE credit_note_settlements
    ADD COLUMN marked_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT credit_note_settlements_marked CHECK (marked_minor >= 0);
COMMENT ON COLUMN credit_note_settlements.marked_minor IS 'used where we do not see it, and marked so by hand';
ALTER TABLE credit_note_settlements DROP CONSTRAINT credit_note_settlements_not_overused;
ALTER TABLE credit_note_settlements ADD CONSTRAINT credit_note_settlements_not_overused
    CHECK (applied_minor + refunded_minor + held_minor + promised_minor + marked_minor <= total_minor);
GRANT UPDATE (marked_minor) ON credit_note_settlements TO ristourne_app;
