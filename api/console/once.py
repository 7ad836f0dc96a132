"""A form whose answer shows a secret is carried out once, however often a browser sends it.

Such an answer cannot be a redirect: the secret is kept nowhere that the next page could take it from. So
reloading it sends the form again, and that must not make a second key.
"""

import hashlib
import re

from api.access.model import ApiKeyId
from api.console.access.model import Refused
from api.console.forms import Form
from kernel import idempotency
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.idempotency import Answer

FIELD = "once"
MADE = "This form has already made this key; its secret was shown once. Lost it? Rotate or revoke it."
RUNNING = (
    "This form was sent a moment ago and is still being worked on. Look at the API keys in a moment: "
    "a key whose secret you did not see can be rotated or revoked there."
)
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


async def made_before(tx: Tx, form: Form) -> ApiKeyId | None:
    """The key that this form has made. None is for the first time, which now holds the form."""
    key = _key_of(form)
    try:
        answer = await idempotency.earlier_answer(tx, key, fingerprint=_fingerprint(key))
    except Conflict:
        raise Refused(409, RUNNING) from None
    return None if answer is None else ApiKeyId.parse(answer.body.decode())


def remember(tx: Tx, form: Form, made: ApiKeyId) -> None:
    key = _key_of(form)
    answer = Answer(fingerprint=_fingerprint(key), status=303, headers=[], body=str(made).encode())
    idempotency.remember(tx, key, answer)


def _key_of(form: Form) -> str:
    if not _VALUE.fullmatch(form.text(FIELD)):
        raise Refused(400, "This form was not made by the console. Open the page again.")
    return f"console form {form.text(FIELD)}"


def _fingerprint(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
