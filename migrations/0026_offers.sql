-- The life of an offer, its caps per customer and in money, and notes of the tenant's own.

ALTER TABLE offers
    ADD COLUMN status           text NOT NULL DEFAULT 'active'
        CONSTRAINT offers_status CHECK (status IN ('active', 'paused', 'archived')),
    ADD COLUMN max_per_customer integer NOT NULL DEFAULT 1
        CONSTRAINT offers_max_per_customer CHECK (max_per_customer > 0),
    ADD COLUMN budget_minor     bigint CONSTRAINT offers_budget CHECK (budget_minor > 0),
    ADD COLUMN budget_currency  text,
    ADD COLUMN spent_minor      bigint,
    ADD COLUMN metadata         jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT offers_spent CHECK (spent_minor BETWEEN 0 AND budget_minor),
    ADD CONSTRAINT offers_budget_whole
        CHECK (num_nulls(budget_minor, budget_currency, spent_minor) IN (0, 3));
-- The owner, too, is held by row security; for once this is for all tenants.
ALTER TABLE offers NO FORCE ROW LEVEL SECURITY;
UPDATE offers SET status = 'paused' WHERE NOT active;
ALTER TABLE offers FORCE ROW LEVEL SECURITY;
ALTER TABLE offers DROP COLUMN active;
GRANT UPDATE (name, conditions, max_redemptions, max_per_customer, budget_minor, budget_currency, spent_minor,
              status, metadata) ON offers TO ristourne_app;
