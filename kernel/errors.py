"""Expected refusals. Each has a stable code and a sentence that says what the caller can do."""


class DomainError(Exception):
    """`code` is part of the API and listed in docs/problems.md; `param` names the field to look at."""

    def __init__(self, code: str, detail: str, *, param: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.param = param


class Invalid(DomainError):
    """The request can be read, and asks for something that is never possible."""


class NotFound(DomainError):
    """Nothing of this name is there for this tenant, whether or not another tenant has it."""


class Conflict(DomainError):
    """The request would be right at another time: the state of things stands against it."""


class Unavailable(DomainError):
    """Somebody else's machine did not answer; the same request may succeed later."""


class TooMany(DomainError):
    """Asked too often; the same request may succeed in so many seconds."""

    def __init__(self, code: str, detail: str, *, retry_after: int, param: str | None = None) -> None:
        super().__init__(code, detail, param=param)
        self.retry_after = retry_after


def not_found(noun: str, key: object) -> NotFound:
    return NotFound(f"{noun.replace(' ', '_')}_not_found", f"There is no {noun} {str(key)[:80]!r}.")
