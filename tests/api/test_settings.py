"""Settings come from the environment; a bad value is one sentence that names the variable."""

import asyncpg
import pytest

from api.gateways import vault_of
from api.settings import VARIABLES, Misconfigured, Settings, app_role
from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.connections.vault import SecretLost
from kernel.ids import TenantId

KEY = "ab" * 32
NEEDED = {
    "DATABASE_URL": "postgresql://owner:secret@db.example:5433/billing",
    "REDIS_URL": "redis://:secret@redis.example:6379/0",
    "SECRET_KEY": KEY,
}


def read(**changed: str) -> Settings:
    return Settings.from_environment({**NEEDED, **changed})


def test_three_variables_are_enough() -> None:
    settings = read()

    assert settings.database_pool_size == 8
    assert settings.base_url == "http://127.0.0.1:8000"
    assert (settings.log_level, settings.log_format) == ("INFO", "json")


def test_the_table_names_every_setting_and_nothing_else() -> None:
    assert [variable.name.lower() for variable in VARIABLES] == sorted(
        Settings.__struct_fields__,
        key=[variable.name.lower() for variable in VARIABLES].index,
    )


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_must_be_set(name: str) -> None:
    for absent in ({k: v for k, v in NEEDED.items() if k != name}, NEEDED | {name: ""}):
        with pytest.raises(Misconfigured, match=f"^{name} is not set"):
            Settings.from_environment(absent)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://owner@db/billing"),
        ("DATABASE_URL", "postgresql://owner@db"),
        ("DATABASE_URL", "postgresql://db/billing"),
        ("APP_DATABASE_URL", "billing"),
        ("REDIS_URL", "http://redis"),
        ("REDIS_URL", "redis://redis:port"),
        ("REDIS_URL", "redis://:p[ss@redis"),
        ("SECRET_KEY", "ab" * 31),
        ("SECRET_KEY", "correct horse battery staple" * 2),
        ("SECRET_KEY", "ab " * 32),
        ("VAULT_KEYS", "ab" * 31),
        ("VAULT_KEYS", f"{KEY},"),
        ("STRIPE_URL", "api.stripe.com"),
        ("SMTP_URL", "mail.example:25"),
        ("SMTP_URL", "smtp://mail.example:99999"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@b.example\nBcc: c@d.example"),
        ("BASE_URL", "ftp://example"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "٨"),
        ("DATABASE_POOL_SIZE", "many"),
    ],
)
def test_a_bad_value_is_refused_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=f"^{name} cannot be used: expected") as refusal:
        read(**{name: value})

    assert value not in str(refusal.value).split()


def test_words_may_be_written_in_any_case() -> None:
    assert read(LOG_LEVEL="debug", LOG_FORMAT="Console").log_level == "DEBUG"


def test_the_application_has_its_own_role_on_the_same_database() -> None:
    app_url = read().app_database_url

    assert app_url.startswith("postgresql://ristourne_billing:")
    assert app_url.endswith("@db.example:5433/billing")
    assert "secret" not in app_url


def test_the_password_of_the_role_follows_the_key_and_the_database() -> None:
    other = NEEDED["DATABASE_URL"].replace("/billing", "/invoicing")
    passwords = {
        settings.app_database_url.split(":")[2].partition("@")[0]
        for settings in (read(), read(SECRET_KEY="cd" * 32), read(DATABASE_URL=other))
    }

    assert len(passwords) == 3


def test_the_role_of_the_application_can_be_given() -> None:
    given = "postgresql://app:secret@db.example/billing"

    assert read(APP_DATABASE_URL=given).app_database_url == given


@pytest.mark.parametrize("hosts", ["", "/run/postgresql", "one.example:5432,two.example:5433", "[::1]:5432"])
def test_every_way_to_name_hosts_is_kept(hosts: str) -> None:
    where = f"/billing?host={hosts}" if hosts.startswith("/") else f"{hosts}/billing?sslmode=require"

    assert read(DATABASE_URL=f"postgresql://o:s@{where}").app_database_url.endswith(f"@{where}")


def test_a_database_name_too_long_for_a_role_is_refused() -> None:
    assert app_role("x" * 53) == "ristourne_" + "x" * 53
    with pytest.raises(Misconfigured, match="too long"):
        app_role("x" * 54)


def test_each_use_has_its_own_key() -> None:
    settings = read()

    assert len(settings.subkey("chain")) == 32
    assert len({settings.subkey("chain"), settings.subkey("keys"), settings.secret_key}) == 3
    assert settings.subkey("chain") == read().subkey("chain")


def test_settings_do_not_print_their_secrets() -> None:
    assert "secret" not in repr(read()).lower()
    assert KEY not in repr(read())


async def test_the_application_connects_with_what_was_derived(settings: Settings) -> None:
    conn = await asyncpg.connect(settings.app_database_url)
    assert await conn.fetchval("SELECT current_user <> session_user") is False
    await conn.close()


def test_what_a_new_master_key_encrypts_and_what_the_ones_before_did_can_be_read() -> None:
    row, tenant = PaymentConnectionId.new(), TenantId.new()
    first, second, third = (
        vault_of(read(**changed))
        for changed in ({}, {"VAULT_KEYS": "01" * 32}, {"VAULT_KEYS": f"{'02' * 32}, {'01' * 32}"})
    )
    sealed = [vault.seal("sk_test_1", tenant=tenant, row=row) for vault in (first, second, third)]

    assert [third.open(each, tenant=tenant, row=row) for each in sealed] == ["sk_test_1"] * 3
    assert [third.is_newest(each) for each in sealed] == [False, False, True]
    with pytest.raises(SecretLost):
        second.open(sealed[2], tenant=tenant, row=row)
