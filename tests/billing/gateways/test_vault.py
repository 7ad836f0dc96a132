"""Secrets are encrypted, bound to their row, and outlive the key that encrypted them."""

import pytest

from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.connections.vault import SecretLost, Vault
from kernel.ids import TenantId

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
TENANT, ROW = TenantId.new(), PaymentConnectionId.new()


def sealed(vault: Vault) -> bytes:
    return vault.seal("sk_test_12345678", tenant=TENANT, row=ROW)


def test_what_was_sealed_is_opened() -> None:
    vault = Vault([OLD])

    assert vault.open(sealed(vault), tenant=TENANT, row=ROW) == "sk_test_12345678"


def test_nothing_of_it_can_be_read_and_twice_is_not_the_same() -> None:
    vault = Vault([OLD])
    one, other = sealed(vault), sealed(vault)

    assert b"sk_test" not in one
    assert one != other


def test_in_another_row_or_tenant_it_opens_to_nobody() -> None:
    vault = Vault([OLD])
    for tenant, row in ((TenantId.new(), ROW), (TENANT, PaymentConnectionId.new())):
        with pytest.raises(SecretLost):
            vault.open(sealed(vault), tenant=tenant, row=row)


@pytest.mark.parametrize("at", [0, 1, 9, 21, -1])
def test_one_changed_byte_is_noticed(at: int) -> None:
    vault = Vault([OLD])
    changed = bytearray(sealed(vault))
    changed[at] ^= 1
    with pytest.raises(SecretLost):
        vault.open(bytes(changed), tenant=TENANT, row=ROW)


@pytest.mark.parametrize("cut", [b"", b"\x01", bytes(40)])
def test_what_is_no_secret_of_ours_is_lost(cut: bytes) -> None:
    with pytest.raises(SecretLost):
        Vault([OLD]).open(cut, tenant=TENANT, row=ROW)


def test_a_new_key_before_the_old_encrypts_and_both_open() -> None:
    before, both = Vault([OLD]), Vault([NEW, OLD])
    earlier, later = sealed(before), sealed(both)

    assert [both.open(each, tenant=TENANT, row=ROW) for each in (earlier, later)] == ["sk_test_12345678"] * 2
    assert (both.is_newest(earlier), both.is_newest(later)) == (False, True)
    with pytest.raises(SecretLost):
        before.open(later, tenant=TENANT, row=ROW)


def test_a_vault_says_nothing_of_its_keys() -> None:
    assert repr(Vault([OLD])) == "Vault(1 keys)"
