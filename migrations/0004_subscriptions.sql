-- Plans and their versions, subscriptions, and which invoice paid for which period.

CREATE TABLE plans (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    reference   text        NOT NULL,
    name        text        NOT NULL,
    version     integer     NOT NULL,
    archived_at timestamptz,
    created_at  timestamptz NOT NULL,
    CONSTRAINT plans_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT plans_reference UNIQUE (tenant_id, reference)
);
COMMENT ON COLUMN plans.version IS 'the newest, which new subscriptions take';
CALL tenant_table('plans', 'SELECT, INSERT, UPDATE (version, archived_at)');

-- A version never changes: a price in use stays what it was agreed to be.
CREATE TABLE plan_versions (
    tenant_id      uuid        NOT NULL,
    plan_id        uuid        NOT NULL,
    version        integer     NOT NULL,
    interval_unit  text        NOT NULL
        CONSTRAINT plan_versions_unit CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
    interval_count integer     NOT NULL CONSTRAINT plan_versions_count CHECK (interval_count BETWEEN 1 AND 366),
    tax_rate_id    uuid,
    entitlements   jsonb       NOT NULL,
    created_at     timestamptz NOT NULL,
    CONSTRAINT plan_versions_pk PRIMARY KEY (tenant_id, plan_id, version),
    CONSTRAINT plan_versions_plan FOREIGN KEY (tenant_id, plan_id) REFERENCES plans,
    CONSTRAINT plan_versions_tax_rate FOREIGN KEY (tenant_id, tax_rate_id) REFERENCES tax_rates
);
CALL tenant_table('plan_versions', 'SELECT, INSERT');

CREATE TABLE prices (
    tenant_id  uuid            NOT NULL,
    id         uuid            NOT NULL,
    plan_id    uuid            NOT NULL,
    version    integer         NOT NULL,
    model      text            NOT NULL
        CONSTRAINT prices_model CHECK (model IN ('flat', 'per_unit', 'package', 'volume', 'graduated')),
    currency   text            NOT NULL,
    unit_price numeric(25, 12) CONSTRAINT prices_unit_price CHECK (unit_price >= 0),
    package_size numeric(13, 6) CONSTRAINT prices_package_size CHECK (package_size > 0),
    tiers      jsonb           NOT NULL,
    CONSTRAINT prices_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT prices_form CHECK (
        (unit_price IS NULL) = (model IN ('volume', 'graduated'))
        AND (package_size IS NOT NULL) = (model = 'package')
        AND (jsonb_array_length(tiers) > 0) = (model IN ('volume', 'graduated'))
    ),
    CONSTRAINT prices_one_per_currency UNIQUE (tenant_id, plan_id, version, currency),
    CONSTRAINT prices_version FOREIGN KEY (tenant_id, plan_id, version) REFERENCES plan_versions
);
CALL tenant_table('prices', 'SELECT, INSERT');

CREATE TABLE subscriptions (
    tenant_id            uuid           NOT NULL,
    id                   uuid           NOT NULL,
    customer_id          uuid           NOT NULL,
    plan_id              uuid           NOT NULL,
    version              integer        NOT NULL,
    currency             text           NOT NULL,
    quantity             numeric(13, 6) NOT NULL,
    status               text           NOT NULL
        CONSTRAINT subscriptions_status
        CHECK (status IN ('incomplete', 'trialing', 'active', 'past_due', 'paused', 'cancelled', 'ended')),
    collection           text           NOT NULL
        CONSTRAINT subscriptions_collection CHECK (collection IN ('automatic', 'send_invoice')),
    redemption_id        uuid,
    anchor_at            timestamptz    NOT NULL,
    period_number        integer        NOT NULL,
    current_period_start timestamptz    NOT NULL,
    current_period_end   timestamptz    NOT NULL,
    trial_ends_at        timestamptz,
    next_billing_at      timestamptz,
    cancel_at            timestamptz,
    cancellation         jsonb,
    cancelled_at         timestamptz,
    ended_at             timestamptz,
    metadata             jsonb          NOT NULL,
    created_at           timestamptz    NOT NULL,
    CONSTRAINT subscriptions_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT subscriptions_period CHECK (current_period_start < current_period_end),
    CONSTRAINT subscriptions_cancellation_has_time CHECK ((cancel_at IS NULL) = (cancellation IS NULL)),
    CONSTRAINT subscriptions_over_is_not_billed
        CHECK (status NOT IN ('cancelled', 'ended') OR next_billing_at IS NULL),
    CONSTRAINT subscriptions_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT subscriptions_price FOREIGN KEY (tenant_id, plan_id, version, currency)
        REFERENCES prices (tenant_id, plan_id, version, currency),
    CONSTRAINT subscriptions_redemption FOREIGN KEY (tenant_id, redemption_id) REFERENCES redemptions
);
CREATE INDEX subscriptions_of_customer ON subscriptions (tenant_id, customer_id, id);
CREATE INDEX subscriptions_due ON subscriptions (tenant_id, next_billing_at, id) WHERE next_billing_at IS NOT NULL;
CALL tenant_table('subscriptions',
    'SELECT, INSERT, UPDATE (status, period_number, current_period_start, current_period_end, next_billing_at,
                             cancel_at, cancellation, cancelled_at, ended_at)');

-- What makes billing a period twice impossible.
CREATE TABLE subscription_invoices (
    tenant_id       uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    period_start    timestamptz NOT NULL,
    period_end      timestamptz NOT NULL,
    invoice_id      uuid        NOT NULL,
    CONSTRAINT subscription_invoices_pk PRIMARY KEY (tenant_id, subscription_id, period_start),
    CONSTRAINT subscription_invoices_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions,
    CONSTRAINT subscription_invoices_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE UNIQUE INDEX subscription_invoices_of_invoice ON subscription_invoices (tenant_id, invoice_id);
CALL tenant_table('subscription_invoices', 'SELECT, INSERT');

-- A signup is idempotent on the customer and what they signed up for: the offer, or the plan without one.
CREATE TABLE signups (
    tenant_id       uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    granted         uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT signups_pk PRIMARY KEY (tenant_id, customer_id, granted),
    CONSTRAINT signups_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions
);
COMMENT ON COLUMN signups.granted IS 'the id of the offer, or of the plan when there is no offer';
CALL tenant_table('signups', 'SELECT, INSERT, UPDATE (subscription_id, created_at)');
