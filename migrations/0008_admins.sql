-- Admins of the console: who they are, which accounts they open, how they get in.
-- All of it comes before a tenant is known: no tenant_id, no row security. No table keeps what opens a door:
-- passwords stand here as Argon2id, session ids, one-time tokens and the names that were tried as keyed hashes.

CREATE TABLE admins (
    id            uuid        NOT NULL CONSTRAINT admins_pk PRIMARY KEY,
    email         text        NOT NULL CONSTRAINT admins_email UNIQUE,
    password_hash text,
    created_at    timestamptz NOT NULL
);
COMMENT ON COLUMN admins.password_hash IS 'null until the first one-time link was used';
GRANT SELECT, INSERT, UPDATE (email, password_hash) ON admins TO ristourne_app;

CREATE TABLE admin_accounts (
    admin_id   uuid        NOT NULL CONSTRAINT admin_accounts_admin REFERENCES admins,
    account_id uuid        NOT NULL CONSTRAINT admin_accounts_account REFERENCES accounts,
    created_at timestamptz NOT NULL,
    CONSTRAINT admin_accounts_pk PRIMARY KEY (admin_id, account_id)
);
GRANT SELECT, INSERT, DELETE ON admin_accounts TO ristourne_app;

CREATE TABLE admin_invitations (
    token_hash bytea       NOT NULL CONSTRAINT admin_invitations_pk PRIMARY KEY,
    admin_id   uuid        NOT NULL CONSTRAINT admin_invitations_admin REFERENCES admins,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
-- A new link takes the place of the one before.
CREATE UNIQUE INDEX admin_invitations_one_open ON admin_invitations (admin_id) WHERE used_at IS NULL;
GRANT SELECT, INSERT, UPDATE (token_hash, created_at, expires_at, used_at) ON admin_invitations TO ristourne_app;

CREATE TABLE admin_sessions (
    id_hash    bytea       NOT NULL CONSTRAINT admin_sessions_pk PRIMARY KEY,
    admin_id   uuid        NOT NULL CONSTRAINT admin_sessions_admin REFERENCES admins,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX admin_sessions_of_admin ON admin_sessions (admin_id, created_at);
GRANT SELECT, INSERT, UPDATE (seen_at, revoked_at), DELETE ON admin_sessions TO ristourne_app;

-- A lane is where guesses are counted: an account name, an address, a browser that is known.
CREATE TABLE sign_in_attempts (
    lane          bytea       NOT NULL CONSTRAINT sign_in_attempts_pk PRIMARY KEY,
    failures      integer     NOT NULL,
    last_at       timestamptz NOT NULL,
    blocked_until timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_age ON sign_in_attempts (last_at);
GRANT SELECT, INSERT, UPDATE (failures, last_at, blocked_until), DELETE ON sign_in_attempts TO ristourne_app;
