"""Whether bytes that came from the internet were signed by Stripe, a moment ago.

`Stripe-Signature: t=1767268800,v1=5257a8…,v1=…` where each v1 is HMAC-SHA256(secret, t "." body) in hex.
While a secret is rotated Stripe signs with the old and the new one; we know both, and one is enough.
Other schemes (v0) are for tests of Stripe's own and count for nothing.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from kernel.errors import Invalid

HEADER = "Stripe-Signature"
# Ahead of our clock as well as behind it: a request dated into the future could be replayed until then.
TOLERANCE = timedelta(seconds=300)

_TIME = re.compile(rb"[0-9]{1,12}")
_MAC = re.compile(rb"[0-9a-f]{64}")


def check(body: bytes, headers: Sequence[bytes], secrets: Sequence[str], *, now: datetime) -> None:
    """`headers` are the values under that name, `now` is the world's time. Raises Invalid."""
    signed_at, macs = _read(headers)
    if not _is_signed(signed_at + b"." + body, macs, secrets):
        raise Invalid(
            "signature_wrong",
            "No signature fits this body and a secret of this endpoint. Compare the endpoint's signing "
            "secret at the provider with the connection's.",
            param=HEADER,
        )
    if abs(int(signed_at) - int(now.timestamp())) > TOLERANCE.total_seconds():
        raise Invalid(
            "signature_not_now",
            "This was signed more than 300 seconds before or after our time. Send it anew.",
            param=HEADER,
        )


def sign(body: bytes, secret: str, *, at: datetime) -> bytes:
    """The header that says this body was sent at that time."""
    signed_at = str(int(at.timestamp())).encode()
    return b"t=%s,v1=%s" % (signed_at, _mac(signed_at + b"." + body, secret))


def _read(headers: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    if not headers:
        raise Invalid("signature_missing", f"The header {HEADER} is missing.", param=HEADER)
    pairs = [part.partition(b"=") for part in headers[0].split(b",")]
    times = [value for name, _, value in pairs if name.strip() == b"t"]
    macs = [value for name, _, value in pairs if name.strip() == b"v1" and _MAC.fullmatch(value)]
    # Two headers or two times: whoever sent them hopes that two readers choose differently.
    if len(headers) > 1 or len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise Invalid(
            "signature_malformed", f"{HEADER} is not of the form t=…,v1=…, said once.", param=HEADER
        )
    return times[0], macs


def _is_signed(payload: bytes, macs: Sequence[bytes], secrets: Sequence[str]) -> bool:
    """Every secret is tried on every signature: the time it takes tells nothing of which came near."""
    fits = False
    for secret in secrets:
        expected = _mac(payload, secret)
        for mac in macs:
            fits |= hmac.compare_digest(expected, mac)
    return fits


def _mac(payload: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), payload, sha256).hexdigest().encode()
