-- A credit note may be over many invoices: a rebate is. What it takes off each stands in its sources; an
-- ordinary note has one. What it takes off a line is known with the volume and the rebate that go with it.

ALTER TABLE credit_notes ALTER COLUMN invoice_id DROP NOT NULL;
ALTER TABLE credit_notes ALTER COLUMN invoice_number DROP NOT NULL;
ALTER TABLE credit_notes ALTER COLUMN invoice_issued_on DROP NOT NULL;
ALTER TABLE credit_notes ADD COLUMN rebate jsonb;
COMMENT ON COLUMN credit_notes.rebate IS 'the contract, the period and what justifies the amount; null on all others';
ALTER TABLE credit_notes ADD CONSTRAINT credit_notes_on_an_invoice_or_a_rebate
    CHECK ((rebate IS NULL) = (invoice_id IS NOT NULL) AND (rebate IS NULL) = (invoice_number IS NOT NULL)
           AND (rebate IS NULL) = (invoice_issued_on IS NOT NULL));

CREATE TABLE credit_note_sources (
    tenant_id        uuid    NOT NULL,
    credit_note_id   uuid    NOT NULL,
    invoice_id       uuid    NOT NULL,
    position         integer NOT NULL,
    number           text    NOT NULL,
    issued_on        date    NOT NULL,
    currency         text    NOT NULL,
    net_minor        bigint  NOT NULL CONSTRAINT credit_note_sources_net CHECK (net_minor >= 0),
    tax_minor        bigint  NOT NULL CONSTRAINT credit_note_sources_tax CHECK (tax_minor >= 0),
    total_minor      bigint  NOT NULL,
    to_invoice_minor bigint  NOT NULL,
    CONSTRAINT credit_note_sources_pk PRIMARY KEY (tenant_id, credit_note_id, invoice_id),
    CONSTRAINT credit_note_sources_total CHECK (total_minor = net_minor + tax_minor),
    CONSTRAINT credit_note_sources_to_invoice CHECK (to_invoice_minor BETWEEN 0 AND total_minor),
    -- A note over many invoices is numbered when it is known what it takes off each of them.
    CONSTRAINT credit_note_sources_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes
        DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT credit_note_sources_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
COMMENT ON COLUMN credit_note_sources.to_invoice_minor IS 'what of it had not been paid; the rest is given back';
CREATE INDEX credit_note_sources_of_invoice ON credit_note_sources (tenant_id, invoice_id, credit_note_id);
CALL tenant_table('credit_note_sources', 'SELECT, INSERT');

CREATE TABLE credit_note_source_taxes (
    tenant_id      uuid    NOT NULL,
    credit_note_id uuid    NOT NULL,
    invoice_id     uuid    NOT NULL,
    category       text    NOT NULL,
    rate_ppm       integer NOT NULL,
    reason         text    NOT NULL,
    currency       text    NOT NULL,
    base_minor     bigint  NOT NULL,
    tax_minor      bigint  NOT NULL,
    CONSTRAINT credit_note_source_taxes_pk
        PRIMARY KEY (tenant_id, credit_note_id, invoice_id, category, rate_ppm, reason),
    CONSTRAINT credit_note_source_taxes_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes
        DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT credit_note_source_taxes_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX credit_note_source_taxes_of_invoice ON credit_note_source_taxes (tenant_id, invoice_id);
CALL tenant_table('credit_note_source_taxes', 'SELECT, INSERT');

ALTER TABLE credit_note_lines ALTER CONSTRAINT credit_note_lines_note DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE credit_note_lines ADD COLUMN volume_minor bigint NOT NULL DEFAULT 0
    CONSTRAINT credit_note_lines_volume CHECK (volume_minor >= 0);
COMMENT ON COLUMN credit_note_lines.volume_minor IS 'what it takes off the volume that rebates are counted on';
ALTER TABLE credit_note_lines ADD COLUMN rebate_minor bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN credit_note_lines.rebate_minor IS
    'added to the rebates in force: more than zero on a rebate, less where a credit ends a part of one';

-- Whether it is what a note takes off an invoice that it is on, or what is left of it applied to another.
ALTER TABLE settlements ADD COLUMN is_own boolean NOT NULL DEFAULT false;

-- Money of a rebate that goes back is of no one invoice, nor are entries that are about a contract.
ALTER TABLE refunds ALTER COLUMN invoice_id DROP NOT NULL;
ALTER TABLE ledger_entries ALTER COLUMN invoice_id DROP NOT NULL;

-- The owner, too, is held by row security; for once this is for all tenants.
ALTER TABLE credit_notes NO FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_lines NO FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_taxes NO FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_sources NO FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_source_taxes NO FORCE ROW LEVEL SECURITY;
ALTER TABLE settlements NO FORCE ROW LEVEL SECURITY;

INSERT INTO credit_note_sources
    (tenant_id, credit_note_id, invoice_id, position, number, issued_on, currency, net_minor, tax_minor,
     total_minor, to_invoice_minor)
SELECT tenant_id, id, invoice_id, 1, invoice_number, invoice_issued_on, currency, net_minor, tax_minor,
       total_minor, to_invoice_minor
FROM credit_notes;

INSERT INTO credit_note_source_taxes
    (tenant_id, credit_note_id, invoice_id, category, rate_ppm, reason, currency, base_minor, tax_minor)
SELECT t.tenant_id, t.credit_note_id, c.invoice_id, t.category, t.rate_ppm, t.reason, t.currency,
       t.base_minor, t.tax_minor
FROM credit_note_taxes t
JOIN credit_notes c ON c.tenant_id = t.tenant_id AND c.id = t.credit_note_id;

SET CONSTRAINTS ALL IMMEDIATE;

UPDATE credit_note_lines l
SET volume_minor = l.net_minor + l.included_tax_minor
FROM credit_notes c
WHERE c.tenant_id = l.tenant_id AND c.id = l.credit_note_id AND c.reason NOT IN ('rebate', 'early_payment');

UPDATE settlements s
SET is_own = true
FROM credit_notes c
WHERE c.tenant_id = s.tenant_id AND c.id = s.credit_note_id AND c.invoice_id = s.invoice_id;

ALTER TABLE credit_notes FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_lines FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_taxes FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_sources FORCE ROW LEVEL SECURITY;
ALTER TABLE credit_note_source_taxes FORCE ROW LEVEL SECURITY;
ALTER TABLE settlements FORCE ROW LEVEL SECURITY;
