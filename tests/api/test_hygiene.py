"""No input makes a 5xx, and nothing unreadable reaches a handler or the database."""

from typing import Any

import httpx
import pytest

from api import body as bodies
from kernel.errors import Invalid

JSON = {b"content-type": b"application/json"}
GOOD = b'{"name": "x", "scopes": ["events:read"]}'


async def post(client: httpx.AsyncClient, body: bytes, headers: dict[bytes, bytes] = JSON) -> httpx.Response:
    return await client.post("/v1/api_keys", content=body, headers=headers)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────

BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"name=x", 400, "body_not_json"),
    "cut off": (b'{"name": "x"', 400, "body_not_json"),
    "two values": (GOOD + GOOD, 400, "body_not_json"),
    "trailing comma": (b'{"name": "x",}', 400, "body_not_json"),
    "comment": (b'{"name": "x"} // no', 400, "body_not_json"),
    "single quotes": (b"{'name': 'x'}", 400, "body_not_json"),
    "NaN": (b'{"name": NaN}', 400, "body_not_json"),
    "Infinity": (b'{"name": -Infinity}', 400, "body_not_json"),
    "a bare control character": (b'{"name": "a\x01"}', 400, "body_not_json"),
    "a bare NUL": (b'{"name": "\x00"}', 400, "body_not_json"),
    "non-ASCII digits": ('{"name": ١}'.encode(), 400, "body_not_json"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, 400, "body_not_json"),
    "Latin-1": (b'{"name": "\xe9"}', 400, "body_not_utf8"),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400, "body_not_utf8"),
    "a surrogate in UTF-8": (b'{"name": "\xed\xa0\x80"}', 400, "body_not_utf8"),
    "an escaped NUL": (b'{"name": "a\\u0000b"}', 400, "body_unprintable"),
    "an escaped NUL in a key": (b'{"a\\u0000": 1}', 400, "body_unprintable"),
    "half a surrogate pair": (b'{"name": "\\ud800"}', 400, "body_unprintable"),
    "the other half, nested": (b'{"name": [{"a": "\\udc00"}]}', 400, "body_unprintable"),
    "a key twice": (b'{"name": "x", "name": "y"}', 400, "body_duplicate_key"),
    "a key twice, once escaped": (b'{"name": "x", "n\\u0061me": "y"}', 400, "body_duplicate_key"),
    "a key twice, nested": (b'{"name": {"a": 1, "a": 1}}', 400, "body_duplicate_key"),
    "an integer of 400 digits": (b'{"name": ' + b"9" * 400 + b"}", 400, "body_number_out_of_range"),
    "an integer of 5000 digits": (b'{"name": ' + b"9" * 5000 + b"}", 400, "body_number_out_of_range"),
    "an integer beyond 2^53": (b'{"name": 9007199254740992}', 400, "body_number_out_of_range"),
    "a huge exponent": (b'{"name": 1E+999999}', 400, "body_number_out_of_range"),
    "33 levels": (b'{"name": ' + b"[" * 32 + b"]" * 32 + b"}", 400, "body_too_deep"),
    "200,000 levels": (b"[" * 200_000 + b"]" * 200_000, 400, "body_too_deep"),
    "200,000 levels in an unknown field": (
        b'{"a": ' + b'{"a":' * 150_000 + b"1" + b"}" * 150_000 + b"}",
        400,
        "body_too_deep",
    ),
    "200,000 levels, never closed": (b"[" * 200_000, 400, "body_too_deep"),
    "a list": (b"[]", 422, "body_invalid"),
    "null": (b"null", 422, "body_invalid"),
    "a string": (b'"x"', 422, "body_invalid"),
    "an unknown field": (GOOD[:-1] + b', "x": 1}', 422, "body_invalid"),
    "a number for a text": (b'{"name": 1, "scopes": ["events:read"]}', 422, "body_invalid"),
    "a text for a number": (
        b'{"name": "x", "scopes": ["events:read"], "expires_at": 5}',
        422,
        "body_invalid",
    ),
    "a time without a zone": (
        b'{"name": "x", "scopes": ["events:read"], "expires_at": "2030-01-01T00:00:00"}',
        422,
        "body_invalid",
    ),
    "a line break in a name": (b'{"name": "a\\nb", "scopes": ["events:read"]}', 422, "body_invalid"),
    "more than a mebibyte": (b'{"name": "' + b"x" * bodies.MAX_BYTES + b'"}', 413, "body_too_large"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_refused(client: httpx.AsyncClient, name: str) -> None:
    body, status, code = BAD_BODIES[name]
    answer = await post(client, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content_type",
    [b"text/plain", b"application/x-www-form-urlencoded", b"", b"application/jsonp", b"text/json",
     b"application/problem+json", b"application/json, text/plain", b"\xe9"],
)  # fmt: skip
async def test_only_json_is_read(client: httpx.AsyncClient, content_type: bytes) -> None:
    answer = await post(client, GOOD, {b"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_unsupported")


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b"application/json;"],
)
async def test_json_may_have_parameters(client: httpx.AsyncClient, content_type: bytes) -> None:
    assert (await post(client, GOOD, {b"content-type": content_type})).status_code == 201


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"nonsense", b"identity, gzip"])
async def test_no_body_is_unpacked(client: httpx.AsyncClient, encoding: bytes) -> None:
    answer = await post(client, GOOD, {**JSON, b"content-encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "body_encoded")


async def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    answer = await client.post("/v1/api_keys", content=chunks(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent <= 18


async def test_no_body_is_an_empty_one(client: httpx.AsyncClient) -> None:
    created = (await post(client, GOOD)).json()
    rotated = await client.post(f"/v1/api_keys/{created['id']}/rotate")
    assert rotated.status_code == 201
    missing = await client.post("/v1/api_keys")
    assert (missing.status_code, missing.json()["param"]) == (422, "name")


async def test_a_body_that_nobody_reads_is_refused(client: httpx.AsyncClient) -> None:
    created = (await post(client, GOOD)).json()
    path = f"/v1/api_keys/{created['id']}/revoke"
    answer = await client.post(path, json={"reason": "leaked"})
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unexpected")
    assert (await client.post(path, json={})).status_code == 200


async def test_32_levels_are_no_problem_and_brackets_in_texts_do_not_count() -> None:
    headers = list(JSON.items())
    bodies.check(b"[" * 32 + b"]" * 32, headers, expected=True)
    bodies.check(b'["' + b"[" * 100 + b'\\"' + b"[" * 100 + b'"]', headers, expected=True)
    with pytest.raises(Invalid, match="levels"):
        bodies.check(b"[" * 33 + b"]" * 33, headers, expected=True)


async def test_whole_surrogate_pairs_and_escaped_backslashes_are_text() -> None:
    bodies.check(b'{"a": "\\ud83d\\ude00", "b": "\\\\u0000"}', list(JSON.items()), expected=True)


# ── paths and queries ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path", ["/v1/api_keys/%ff", "/v1/api_keys/%00", "/v1/api_keys/a%0d%0ab", "/%c3%28", "/v1/%ed%a0%80"]
)
async def test_a_path_that_is_no_text_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (400, "path_invalid")


@pytest.mark.parametrize(
    "text", ["x", "١", "key_", "%F0%9F%92%A9", "key_01JD4W8M2KFZR9T7X3N5Q6V8C1", "a" * 5000]
)
async def test_what_is_no_id_answers_like_an_id_that_is_not_there(
    client: httpx.AsyncClient, text: str
) -> None:
    absent = (await client.get("/v1/api_keys/key_01jd4w8m2kfzr9t7x3n5q6v8c1")).json()
    answer = await client.get(f"/v1/api_keys/{text}")
    assert answer.status_code == 404
    varying = {"detail", "request_id"}
    problem = answer.json()
    assert {k: v for k, v in problem.items() if k not in varying} == {
        k: v for k, v in absent.items() if k not in varying
    }
    assert problem["detail"].startswith("There is no api key")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "parameter_invalid"),
        ("limit=101", "parameter_invalid"),
        ("limit=x", "parameter_invalid"),
        ("limit=", "parameter_invalid"),
        ("limit=%D9%A1", "parameter_invalid"),
        ("limit=9" + "9" * 400, "parameter_invalid"),
        ("limit=1&limit=2", "parameter_repeated"),
        ("Limit=1", "parameter_unknown"),
        ("page=1", "parameter_unknown"),
        ("cursor=%ff", "parameter_invalid"),
        ("cursor=%00", "parameter_invalid"),
        ("cursor=abc", "cursor_invalid"),
        ("cursor=é", "cursor_invalid"),
        ("cursor=", "cursor_invalid"),
        ("%ff=1", "parameter_invalid"),
    ],
)
async def test_a_bad_query_is_refused(client: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await client.get(f"/v1/api_keys?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


# ── the shape of problems ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route_not_found"),
        ("GET", "/docs/nowhere", 404, "route_not_found"),
        ("GET", "/v1/nowhere", 404, "route_not_found"),
        ("PUT", "/v1/api_keys", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/api_keys?x=1", 400, "parameter_unknown"),
        ("GET", "/v1/events/evt_01jd4w8m2kfzr9t7x3n5q6v8c1", 404, "event_not_found"),
        ("POST", "/v1/api_keys", 422, "body_invalid"),
    ],
)
async def test_every_problem_has_one_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(problem) == ["type", "title", "status", "detail", "code", "param", "request_id"]
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"/docs/problems#{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith(".")


async def test_a_wrong_method_is_told_the_right_ones(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.put("/v1/api_keys")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1", True), ("a" * 129, False), ("a b", False), ("é", False), ("", False)]
)
async def test_a_sane_request_id_is_kept(anonymous: httpx.AsyncClient, given: str, kept: bool) -> None:
    answer = await anonymous.get("/healthz", headers={b"X-Request-Id": given.encode()})
    named = answer.headers["x-request-id"]
    assert (named == given) if kept else named.startswith("req_")


async def test_health_and_readiness_are_open(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/healthz")).json()["status"] == "ok"
    assert (await anonymous.get("/readyz")).status_code in (200, 503)
