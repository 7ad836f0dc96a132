"""What is believed to come from Stripe, and what is not."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel.errors import Invalid
from tests.makers import NOON
from webhooks.signature import TOLERANCE, check, sign

BODY = b'{"id":"evt_1","type":"refund.updated"}'
SECRET = "whsec_of_the_endpoint"
OLD = "whsec_from_before"
STRANGER = "whsec_of_somebody_else"

T = str(int(NOON.timestamp())).encode()
MAC = sign(BODY, SECRET, at=NOON).partition(b"v1=")[2]
FOREIGN = sign(BODY, STRANGER, at=NOON).partition(b"v1=")[2]


def accepted(*headers: bytes, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> bool:
    try:
        check(body, headers, secrets, now=NOON)
    except Invalid:
        return False
    return True


def refusal(*headers: bytes, body: bytes = BODY, now: datetime = NOON) -> str:
    with pytest.raises(Invalid) as refused:
        check(body, headers, (SECRET,), now=now)
    return refused.value.code


# ── what is believed ─────────────────────────────────────────────────────────────────────────────────────


def test_what_was_signed_with_the_secret_is_believed() -> None:
    assert accepted(sign(BODY, SECRET, at=NOON))


def test_the_signature_is_the_one_that_anybody_else_computes() -> None:
    """HMAC-SHA256 of `1492774577.{}` under `whsec_test`, by openssl."""
    at = datetime.fromtimestamp(1492774577, UTC)
    mac = b"0d0602f6611bd2252dd4b74b58a4528355a7380639a15e6cc21e3059d56d5b8b"
    assert sign(b"{}", "whsec_test", at=at) == b"t=1492774577,v1=" + mac


def test_while_a_secret_is_rotated_either_one_is_enough() -> None:
    assert accepted(sign(BODY, OLD, at=NOON), secrets=(SECRET, OLD))
    assert accepted(sign(BODY, SECRET, at=NOON), secrets=(SECRET, OLD))


def test_of_several_signatures_one_that_fits_is_enough() -> None:
    assert accepted(b"t=%s,v1=%s,v1=%s,v0=%s" % (T, FOREIGN, MAC, FOREIGN))


def test_blanks_after_a_comma_and_schemes_to_come_do_no_harm() -> None:
    assert accepted(b"t=%s, v1=%s, v2=whatever" % (T, MAC))


@given(body=st.binary(max_size=300), secret=st.text(st.characters(codec="utf-8"), min_size=1))
def test_whatever_is_signed_is_believed(body: bytes, secret: str) -> None:
    check(body, [sign(body, secret, at=NOON)], [secret], now=NOON)


# ── what is not ──────────────────────────────────────────────────────────────────────────────────────────

MALFORMED = "signature_malformed"
WRONG = "signature_wrong"

ATTACKS = {
    "no header": ([], "signature_missing"),
    "an empty header": ([b""], MALFORMED),
    "no time": ([b"v1=%s" % MAC], MALFORMED),
    "no signature": ([b"t=%s" % T], WRONG),
    "a time that is no number": ([b"t=soon,v1=%s" % MAC], MALFORMED),
    "a negative time": ([b"t=-1,v1=%s" % MAC], MALFORMED),
    "a time with a fraction": ([b"t=%s.0,v1=%s" % (T, MAC)], MALFORMED),
    "a time in Arabic digits": (["t=١٢٣".encode() + b",v1=" + MAC], MALFORMED),
    "a time of a thousand digits": ([b"t=" + b"9" * 1000 + b",v1=" + MAC], MALFORMED),
    "a time with an underscore": ([b"t=1_0,v1=%s" % MAC], MALFORMED),
    "two times": ([b"t=%s,t=%s,v1=%s" % (T, T, MAC)], MALFORMED),
    "two headers": ([b"t=%s,v1=%s" % (T, MAC)] * 2, MALFORMED),
    "another secret": ([b"t=%s,v1=%s" % (T, FOREIGN)], WRONG),
    "the scheme for tests": ([b"t=%s,v0=%s" % (T, MAC)], WRONG),
    "a scheme that ends in v1": ([b"t=%s,xv1=%s" % (T, MAC)], WRONG),
    "a signature cut short": ([b"t=%s,v1=%s" % (T, MAC[:-1])], WRONG),
    "an empty signature": ([b"t=%s,v1=" % T], WRONG),
    "a signature in capitals": ([b"t=%s,v1=%s" % (T, MAC.upper())], WRONG),
    "a signature with a tail": ([b"t=%s,v1=%s\n" % (T, MAC)], WRONG),
    "a signature that is no ASCII": ([b"t=%s,v1=%s" % (T, "é".encode() * 32)], WRONG),
    "a header that is no text": ([b"\xff\xfe\x00"], MALFORMED),
    "an hour added to the time": ([b"t=%d,v1=%s" % (int(T) + 3600, MAC)], WRONG),
    "a second added to the time": ([b"t=%d,v1=%s" % (int(T) + 1, MAC)], WRONG),
}


@pytest.mark.parametrize(("headers", "code"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused(headers: list[bytes], code: str) -> None:
    assert refusal(*headers) == code


@given(st.binary(max_size=400))
@example(b"t=" + T + b",v1=" + b"0" * 64)
def test_no_header_that_somebody_makes_up_is_believed_and_none_breaks_it(header: bytes) -> None:
    assert not accepted(header)


@given(st.data())
def test_one_bit_turned_in_the_body_is_seen(data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(BODY) * 8 - 1))
    turned = bytearray(BODY)
    turned[bit // 8] ^= 1 << bit % 8

    assert refusal(sign(BODY, SECRET, at=NOON), body=bytes(turned)) == WRONG


def test_nothing_is_believed_of_a_connection_without_a_secret() -> None:
    assert not accepted(sign(BODY, "", at=NOON), secrets=())


# ── when ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", [-1, 1])
def test_five_minutes_are_within_reason_on_both_sides_and_a_second_more_is_not(way: int) -> None:
    header = sign(BODY, SECRET, at=NOON)

    check(BODY, [header], [SECRET], now=NOON + way * TOLERANCE)
    assert refusal(header, now=NOON + way * (TOLERANCE + timedelta(seconds=1))) == "signature_not_now"


@given(st.integers(301, 10**11 - 1), st.sampled_from([-1, 1]))
def test_what_is_replayed_or_dated_into_the_future_is_refused(seconds: int, way: int) -> None:
    at = datetime.fromtimestamp(max(0, int(T) + way * seconds), UTC)
    assert refusal(sign(BODY, SECRET, at=at)) == "signature_not_now"


def test_a_wrong_signature_tells_nothing_of_the_clock() -> None:
    """Or who has no secret could read our time by trying."""
    header = b"t=%d,v1=%s" % (int(T) + 10**6, FOREIGN)
    assert refusal(header) == WRONG


def test_how_near_a_forgery_comes_does_not_show_in_the_time_it_takes() -> None:
    """Coarsely: the best of many tries, with a first byte that fits and without."""
    far = b"f" * 64
    near = MAC[:63] + (b"0" if MAC[63:] != b"0" else b"1")

    def best(mac: bytes) -> float:
        took = []
        for _ in range(300):
            started = time.perf_counter()
            accepted(b"t=%s,v1=%s" % (T, mac))
            took.append(time.perf_counter() - started)
        return min(took)

    assert best(near) < 2 * best(far)
    assert best(far) < 2 * best(near)
