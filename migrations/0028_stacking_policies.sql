-- How the offers of a tenant add up. Without a row it is as promotions.model.Policy says.

CREATE TABLE stacking_policies (
    tenant_id        uuid      NOT NULL,
    percentages      text      NOT NULL
        CONSTRAINT stacking_policies_percentages CHECK (percentages IN ('compound', 'full_amount')),
    comes_first      text      NOT NULL
        CONSTRAINT stacking_policies_comes_first CHECK (comes_first IN ('percent_first', 'fixed_first')),
    cumulative_lanes integer[] NOT NULL,
    CONSTRAINT stacking_policies_pk PRIMARY KEY (tenant_id)
);
CALL tenant_table('stacking_policies', 'SELECT, INSERT, UPDATE (percentages, comes_first, cumulative_lanes)');
