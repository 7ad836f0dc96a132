"""Every SQL statement about admins, their links, their sessions and their attempts to get in."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from api.access.model import AccountId
from api.console.access.backoff import Count
from api.console.access.model import Admin, AdminId, Invitation, Place, Session
from kernel.database import Conn, Pool
from kernel.structs import Value, load
from kernel.text import Email


class Account(Value, frozen=True, kw_only=True):
    id: AccountId
    name: str


class Listed(Value, frozen=True, kw_only=True):
    """An admin as `ristourne admin list` tells of them. Without an account they open nothing."""

    id: AdminId
    email: Email
    accounts: list[str]
    has_password: bool
    has_link: bool
    last_seen_at: datetime | None


# ── admins and their accounts ────────────────────────────────────────────────────────────────────


async def accounts(conn: "Conn | Pool") -> list[Account]:
    rows = await conn.fetch(
        """
        SELECT id, name
        FROM accounts
        ORDER BY name, id
        """
    )
    return [load(row, Account) for row in rows]


async def put_admin(conn: Conn, email: Email, *, now: datetime) -> AdminId:
    """The admin of this address, new or known."""
    found = await conn.fetchval(
        """
        INSERT INTO admins (id, email, created_at)
        VALUES ($1, $2, $3)
        ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email
        RETURNING id
        """,
        AdminId.new(),
        email,
        now,
    )
    return AdminId.of(found)


async def put_account(conn: Conn, admin_id: AdminId, account_id: AccountId, *, now: datetime) -> None:
    await conn.execute(
        """
        INSERT INTO admin_accounts (admin_id, account_id, created_at)
        VALUES ($1, $2, $3)
        ON CONFLICT (admin_id, account_id) DO NOTHING
        """,
        admin_id,
        account_id,
        now,
    )


async def delete_accounts(conn: Conn, admin_id: AdminId, account_id: AccountId | None) -> int:
    """How many they were: one at most, or with None all of them."""
    return int(
        await conn.fetchval(
            """
            WITH gone AS (
                DELETE FROM admin_accounts
                WHERE admin_id = $1 AND ($2::uuid IS NULL OR account_id = $2)
                RETURNING account_id
            )
            SELECT count(*) FROM gone
            """,
            admin_id,
            account_id,
        )
    )


async def has_an_account(conn: "Conn | Pool", admin_id: AdminId) -> bool:
    return bool(
        await conn.fetchval("SELECT EXISTS (SELECT FROM admin_accounts WHERE admin_id = $1)", admin_id)
    )


async def admins(conn: "Conn | Pool", *, now: datetime) -> list[Listed]:
    rows = await conn.fetch(
        """
        SELECT a.id,
               a.email,
               a.password_hash IS NOT NULL AS has_password,
               ARRAY(
                   SELECT c.name
                   FROM admin_accounts aa
                   JOIN accounts c ON c.id = aa.account_id
                   WHERE aa.admin_id = a.id
                   ORDER BY c.name, c.id
               ) AS accounts,
               EXISTS (
                   SELECT
                   FROM admin_invitations i
                   WHERE i.admin_id = a.id AND i.used_at IS NULL AND i.expires_at > $1
               ) AS has_link,
               (SELECT max(s.seen_at) FROM admin_sessions s WHERE s.admin_id = a.id) AS last_seen_at
        FROM admins a
        ORDER BY a.email
        """,
        now,
    )
    return [load(row, Listed) for row in rows]


async def admin_named(conn: "Conn | Pool", email: str) -> Admin | None:
    row = await conn.fetchrow(
        """
        SELECT id, email, password_hash
        FROM admins
        WHERE email = $1
        """,
        email,
    )
    return load(row, Admin) if row else None


async def somebody_has_a_password(conn: "Conn | Pool") -> bool:
    return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM admins WHERE password_hash IS NOT NULL)"))


async def lock_password(conn: Conn, admin_id: AdminId) -> str | None:
    """What it is now. Nobody sets another until this transaction ends."""
    kept: str | None = await conn.fetchval(
        """
        SELECT password_hash
        FROM admins
        WHERE id = $1
        FOR NO KEY UPDATE
        """,
        admin_id,
    )
    return kept


async def save_password(conn: "Conn | Pool", admin_id: AdminId, password_hash: str) -> None:
    await conn.execute(
        """
        UPDATE admins
        SET password_hash = $2
        WHERE id = $1
        """,
        admin_id,
        password_hash,
    )


async def forget_password(conn: Conn, admin_id: AdminId) -> None:
    await conn.execute(
        """
        UPDATE admins
        SET password_hash = NULL
        WHERE id = $1
        """,
        admin_id,
    )


async def places_of(conn: "Conn | Pool", admin_id: AdminId) -> list[Place]:
    """Every tenant of every account of an admin: by account, by product, live before test."""
    rows = await conn.fetch(
        """
        SELECT t.id AS tenant_id, a.id AS account_id, a.name AS account, t.name AS product, t.mode
        FROM admin_accounts aa
        JOIN accounts a ON a.id = aa.account_id
        JOIN tenants t ON t.account_id = a.id
        WHERE aa.admin_id = $1
        ORDER BY a.name, a.id, t.name, t.mode, t.id
        """,
        admin_id,
    )
    return [load(row, Place) for row in rows]


# ── one-time links ───────────────────────────────────────────────────────────────────────────────


async def put_invitation(
    conn: Conn, admin_id: AdminId, token_hash: bytes, *, now: datetime, expires_at: datetime
) -> None:
    """A link that was not used yet is replaced."""
    await conn.execute(
        """
        INSERT INTO admin_invitations (token_hash, admin_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (admin_id) WHERE used_at IS NULL DO UPDATE
        SET token_hash = EXCLUDED.token_hash,
            created_at = EXCLUDED.created_at,
            expires_at = EXCLUDED.expires_at
        """,
        token_hash,
        admin_id,
        now,
        expires_at,
    )


async def invitation(conn: "Conn | Pool", token_hash: bytes) -> Invitation | None:
    row = await conn.fetchrow(
        """
        SELECT i.admin_id, a.email, i.expires_at, i.used_at
        FROM admin_invitations i
        JOIN admins a ON a.id = i.admin_id
        WHERE i.token_hash = $1
        """,
        token_hash,
    )
    return load(row, Invitation) if row else None


async def use_invitation(conn: Conn, token_hash: bytes, *, now: datetime) -> bool:
    """One conditional write: of two who come at once, one gets in."""
    used = await conn.fetchval(
        """
        UPDATE admin_invitations
        SET used_at = $2
        WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
        RETURNING true
        """,
        token_hash,
        now,
    )
    return bool(used)


async def close_invitation(conn: Conn, admin_id: AdminId) -> None:
    """For whoever comes with it from now on, and whoever came just before."""
    await conn.execute(
        """
        UPDATE admin_invitations
        SET expires_at = created_at
        WHERE admin_id = $1 AND used_at IS NULL
        """,
        admin_id,
    )


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────


async def insert_session(
    conn: "Conn | Pool", id_hash: bytes, admin_id: AdminId, *, now: datetime, expires_at: datetime
) -> None:
    await conn.execute(
        """
        INSERT INTO admin_sessions (id_hash, admin_id, created_at, seen_at, expires_at)
        VALUES ($1, $2, $3, $3, $4)
        """,
        id_hash,
        admin_id,
        now,
        expires_at,
    )


async def session(conn: "Conn | Pool", id_hash: bytes) -> Session | None:
    row = await conn.fetchrow(
        """
        SELECT s.id_hash, s.admin_id, a.email, s.created_at, s.seen_at, s.expires_at, s.revoked_at
        FROM admin_sessions s
        JOIN admins a ON a.id = s.admin_id
        WHERE s.id_hash = $1
        """,
        id_hash,
    )
    return load(row, Session) if row else None


async def live_sessions(
    conn: "Conn | Pool", admin_id: AdminId, *, now: datetime, seen_after: datetime
) -> list[Session]:
    rows = await conn.fetch(
        """
        SELECT s.id_hash, s.admin_id, a.email, s.created_at, s.seen_at, s.expires_at, s.revoked_at
        FROM admin_sessions s
        JOIN admins a ON a.id = s.admin_id
        WHERE s.admin_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.seen_at > $3
        ORDER BY s.seen_at DESC
        """,
        admin_id,
        now,
        seen_after,
    )
    return [load(row, Session) for row in rows]


async def save_seen(conn: "Conn | Pool", id_hash: bytes, *, now: datetime) -> None:
    await conn.execute(
        """
        UPDATE admin_sessions
        SET seen_at = GREATEST(seen_at, $2)
        WHERE id_hash = $1
        """,
        id_hash,
        now,
    )


async def revoke_session(conn: "Conn | Pool", id_hash: bytes, *, now: datetime) -> None:
    await conn.execute(
        """
        UPDATE admin_sessions
        SET revoked_at = $2
        WHERE id_hash = $1 AND revoked_at IS NULL
        """,
        id_hash,
        now,
    )


async def revoke_sessions(conn: "Conn | Pool", admin_id: AdminId, *, now: datetime) -> None:
    await conn.execute(
        """
        UPDATE admin_sessions
        SET revoked_at = $2
        WHERE admin_id = $1 AND revoked_at IS NULL
        """,
        admin_id,
        now,
    )


async def delete_old_sessions(conn: "Conn | Pool", admin_id: AdminId, *, before: datetime) -> None:
    await conn.execute(
        """
        DELETE FROM admin_sessions
        WHERE admin_id = $1 AND expires_at < $2
        """,
        admin_id,
        before,
    )


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


async def lock_counts(conn: Conn, lanes: Sequence[bytes], *, now: datetime) -> list[Count]:
    """Guesses in one lane take turns, the first one too. In the order of the lanes, so that none waits
    for the other."""
    await conn.execute(
        """
        INSERT INTO sign_in_attempts (lane, failures, last_at, blocked_until)
        SELECT lane, 0, $2, $2
        FROM unnest($1::bytea[]) AS lane
        ORDER BY lane
        ON CONFLICT (lane) DO NOTHING
        """,
        lanes,
        now,
    )
    rows = await conn.fetch(
        """
        SELECT lane, failures, last_at, blocked_until
        FROM sign_in_attempts
        WHERE lane = ANY($1::bytea[])
        ORDER BY lane
        FOR UPDATE
        """,
        lanes,
    )
    return [load(row, Count) for row in rows]


async def save_count(conn: Conn, count: Count) -> None:
    await conn.execute(
        """
        UPDATE sign_in_attempts
        SET failures = $2, last_at = $3, blocked_until = $4
        WHERE lane = $1
        """,
        count.lane,
        count.failures,
        count.last_at,
        count.blocked_until,
    )


async def forgive(conn: "Conn | Pool", lanes: Sequence[bytes], *, now: datetime) -> None:
    """The guess that was counted was none: it was right."""
    await conn.execute(
        """
        UPDATE sign_in_attempts
        SET failures = GREATEST(failures - 1, 0), blocked_until = $2
        WHERE lane = ANY($1::bytea[])
        """,
        lanes,
        now,
    )


async def forget_old_counts(conn: "Conn | Pool", *, now: datetime, after: timedelta) -> None:
    """A few at a time, by whoever comes: nobody waits for it."""
    await conn.execute(
        """
        DELETE FROM sign_in_attempts
        WHERE lane IN (
            SELECT lane
            FROM sign_in_attempts
            WHERE last_at < $1
            ORDER BY last_at
            LIMIT 20
            FOR UPDATE SKIP LOCKED
        )
        """,
        now - after,
    )
