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
from kernel.idempotency import Answer

FIELD = "once"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


async def made_before(tx: Tx, form: Form) -> ApiKeyId | None:
    """The key that this form has made. None is for the first time, which now holds the form."""
    key = _key_of(form)
    answer = await idempotency.earlier_answer(tx, key, fingerprint=_fingerprint(key))
    return None if answer is None else ApiKeyId.parse(answer.body.decode())


async def remember(tx: Tx, form: Form, made: ApiKeyId) -> None:
    key = _key_of(form)
    answer = Answer(fingerprint=_fingerprint(key), status=303, headers=[], body=str(made).encode())
    await idempotency.remember(tx, key, answer)


def _key_of(form: Form) -> str:
    if not _VALUE.fullmatch(form.text(FIELD)):
        raise Refused(400, "This form was not made by the console. Open the page again.")
    return f"console form {form.text(FIELD)}"


def _fingerprint(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
