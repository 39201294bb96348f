"""Access tokens over HTTP: what is refused, how, and that nothing in a header is ever a 500."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from api.accounts.tokens import Tokens
from common.errors import InvalidToken
from common.process.settings import Settings
from tests.api.conftest import Client, OpenApi, User, register

SECRET = "a secret of the tests, which is sixty-four bytes long or longer."
NOON = 1_795_780_800  # a whole second
KID = hashlib.sha256(SECRET.encode()).hexdigest()[:8]
HEADER = {"alg": "HS256", "typ": "JWT", "kid": KID}
BARE = 'Bearer realm="quotewell"'
CHALLENGE = f'{BARE}, error="invalid_token"'
REQUIRED = ["exp", "iat", "nbf", "sub", "jti", "iss", "aud", "typ", "sid"]

Me = Callable[[list[tuple[str, str]]], Awaitable[tuple[int, str | None, str | None]]]


def claims(**changes: object) -> dict[str, object]:
    """Good claims; a change to None takes a claim out."""
    now = int(time.time())
    good: dict[str, object] = {
        "iss": "quotewell",
        "aud": "quotewell-api",
        "sub": "1",
        "sid": "1",
        "jti": uuid.uuid4().hex,
        "typ": "access",
        "scope": "",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(content: object, *, header: object = HEADER, secret: str = SECRET, digest: str = "sha256") -> str:
    """A token signed by hand, so that no library refuses to make a wrong one."""
    parts = b".".join(_base64(json.dumps(part).encode()) for part in (header, content))
    signature = hmac.new(secret.encode(), parts, digest).digest()
    return (parts + b"." + _base64(signature)).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def bearer(text: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {text}")]


def good() -> str:
    return token(claims())


def with_header(**changes: object) -> str:
    return token(claims(), header={**HEADER, **changes})


@pytest.fixture
async def me(api: Client, ada: User) -> Me:
    """Ask who one is, with these headers: status, code, WWW-Authenticate."""

    async def ask(headers: list[tuple[str, str]]) -> tuple[int, str | None, str | None]:
        response = await api.get("/api/auth/me", headers=CIMultiDict(headers))
        return response.status, (await response.json()).get("code"), response.headers.get("WWW-Authenticate")

    return ask


@pytest.mark.parametrize(
    "scheme", ["Bearer", "bearer", "BEARER", "Bearer ", "bEARER   ", "Bearer" + " " * 100, " \tBearer"]
)
async def test_a_good_token_is_accepted_whatever_the_case_of_its_scheme_and_the_blanks_after_it(
    api: Client, ada: User, scheme: str
) -> None:
    response = await api.get("/api/auth/me", headers={"Authorization": f"{scheme} {token(claims(sub=str(ada.id)))} "})

    assert 200 == response.status


# RFC 6750, 3.1: a request without a token, or with another scheme, gets no error code
NONE: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "none": list,
    "empty": lambda: [("Authorization", "")],
    "the scheme alone": lambda: [("Authorization", "Bearer")],
    "the scheme and blanks": lambda: [("Authorization", "Bearer   ")],
    "another scheme": lambda: [("Authorization", f"Basic {good()}")],
    "a scheme that only starts so": lambda: [("Authorization", f"BearerX {good()}")],
    "a tab for a blank": lambda: [("Authorization", f"Bearer\t{good()}")],
    "no scheme": lambda: [("Authorization", good())],
    "a long one of another scheme": lambda: [("Authorization", "Digest " + "a" * 5000)],
}


async def test_a_request_without_a_token_is_refused_with_a_challenge_that_has_no_error(me: Me) -> None:
    answers = {name: await me(make()) for name, make in NONE.items()}

    assert dict.fromkeys(NONE, (401, "invalid_token", BARE)) == answers


@pytest.mark.parametrize("second", ["Bearer {}", "Basic {}", "Bearer garbage", ""])
async def test_two_authorizations_are_a_malformed_request(me: Me, second: str) -> None:
    headers = [*bearer(good()), ("Authorization", second.format(good()))]

    assert (400, "invalid_request", f'{BARE}, error="invalid_request"') == await me(headers)


async def test_a_token_without_the_scope_is_told_which_scope_it_lacks(api: Client, ada: User) -> None:
    for method, path in (("GET", "/api/ops/status"), ("DELETE", "/api/ops/hold"), ("POST", "/api/ops/refresh")):
        response = await api.request(method, path, headers=ada.headers)

        assert 403 == response.status
        assert f'{BARE}, error="insufficient_scope", scope="operator"' == response.headers["WWW-Authenticate"]


async def test_a_wrong_password_is_no_error_of_a_token(api: Client, ada: User) -> None:
    response = await api.post("/api/auth/login", json={"username": ada.name, "password": "wrong password"})

    assert (401, BARE) == (response.status, response.headers["WWW-Authenticate"])


async def test_only_answers_about_the_proof_have_a_challenge(api: Client, ada: User) -> None:
    answers = [
        await api.get("/api/stock/A%20B"),
        await api.get("/api/watchlist?include=all", headers=ada.headers),
        await api.get("/api/nothing"),
        await api.get("/api/auth/me", headers=ada.headers),
    ]

    assert [400, 400, 404, 200] == [answer.status for answer in answers]
    assert [None] * 4 == [answer.headers.get("WWW-Authenticate") for answer in answers]


BAD: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "garbage": lambda: bearer("garbage"),
    "three parts of garbage": lambda: bearer("a.b.c"),
    "dots": lambda: bearer(".."),
    "not ascii": lambda: bearer("té.kè.n"),
    "two tokens": lambda: bearer(f"{good()} {good()}"),
    "what is no b64token": lambda: bearer("a,b"),
    "padding within": lambda: bearer("a=b"),
    "5000 bytes": lambda: bearer("a" * 5000),
    "5000 bytes of a good token": lambda: bearer(token(claims(more="x" * 4000))),
    "alg none": lambda: bearer(jwt.encode(claims(), None, algorithm="none", headers={"kid": KID})),
    "alg none, signed": lambda: bearer(with_header(alg="none")),
    "no alg": lambda: bearer(token(claims(), header={"kid": KID})),
    "alg null": lambda: bearer(with_header(alg=None)),
    "alg a list": lambda: bearer(with_header(alg=["HS256"])),
    "HS512": lambda: bearer(token(claims(), header={**HEADER, "alg": "HS512"}, digest="sha512")),
    "another key": lambda: bearer(token(claims(), secret="another key of at least 32 bytes...")),
    "no signature": lambda: bearer(good().rpartition(".")[0] + "."),
    "unknown kid": lambda: bearer(with_header(kid="00000000")),
    "kid a number": lambda: bearer(with_header(kid=7)),
    "kid a list": lambda: bearer(with_header(kid=[KID])),
    "no kid": lambda: bearer(token(claims(), header={"alg": "HS256"})),
    "a header that is a list": lambda: bearer(token(claims(), header=[KID])),
    "crit": lambda: bearer(with_header(crit=["a\r\n"])),
    "crit b64": lambda: bearer(with_header(crit=["b64"], b64=False)),
    "crit a number": lambda: bearer(with_header(crit=5)),
    "claims that are a list": lambda: bearer(token([1])),
    "deep claims": lambda: bearer(token(json.loads("[" * 900 + "]" * 900))),
    "of another issuer": lambda: bearer(token(claims(iss="somebody"))),
    "issuer a list": lambda: bearer(token(claims(iss=["quotewell"]))),
    "for somebody else": lambda: bearer(token(claims(aud="another-api"))),
    "a refresh token": lambda: bearer(token(claims(typ="refresh"))),
    "typ a list": lambda: bearer(token(claims(typ=["access"]))),
    "jti a number": lambda: bearer(token(claims(jti=7))),
    "sub not a number": lambda: bearer(token(claims(sub="ada"))),
    "sub negative": lambda: bearer(token(claims(sub="-1"))),
    "sub with a blank": lambda: bearer(token(claims(sub="1 "))),
    "sub empty": lambda: bearer(token(claims(sub=""))),
    "sid a word": lambda: bearer(token(claims(sid="one"))),
    "sid of two": lambda: bearer(token(claims(sid="1 2"))),
    "sub an integer": lambda: bearer(token(claims(sub=1))),
    "not yet valid": lambda: bearer(token(claims(nbf=int(time.time()) + 600))),
    "issued tomorrow": lambda: bearer(token(claims(iat=int(time.time()) + 86400))),
    "exp a word": lambda: bearer(token(claims(exp="soon"))),
    "exp endless": lambda: bearer(token(claims(exp=float("inf")))),
    "exp a number as text": lambda: bearer(token(claims(exp=str(int(time.time()) + 60)))),
    "iat a number as text": lambda: bearer(token(claims(iat=str(int(time.time()))))),
    "nbf a number as text": lambda: bearer(token(claims(nbf=str(int(time.time()))))),
    "iat true": lambda: bearer(token(claims(iat=True))),
    "nbf true": lambda: bearer(token(claims(nbf=True))),
    "nbf a list": lambda: bearer(token(claims(nbf=[int(time.time())]))),
    "iat endless": lambda: bearer(token(claims(iat=float("inf")))),
    "nbf not a number": lambda: bearer(token(claims(nbf=float("nan")))),
    "exp not a number": lambda: bearer(token(claims(exp=float("nan")))),
    **{f"no {name}": lambda name=name: bearer(token(claims(**{name: None}))) for name in REQUIRED},  # type: ignore[misc]
}


async def test_a_bad_token_is_refused_with_401_a_code_and_a_challenge(me: Me) -> None:
    answers = {name: await me(make()) for name, make in BAD.items()}

    assert dict.fromkeys(BAD, (401, "invalid_token", CHALLENGE)) == answers


async def test_a_token_for_a_number_past_any_account_is_refused(me: Me) -> None:
    assert (401, "invalid_token", CHALLENGE) == await me(bearer(token(claims(sub=str(2**63)))))


async def test_an_expired_token_is_refused_with_a_code_of_its_own(
    me: Me,
) -> None:
    status, code, challenge = await me(bearer(token(claims(exp=int(time.time()) - 1))))

    assert (401, "token_expired") == (status, code)
    assert challenge is not None


@pytest.mark.parametrize("early", [{"iat"}, {"nbf"}, {"iat", "nbf"}])
@pytest.mark.parametrize("ahead", [0.5, 1, 5, 9.5, 10])
async def test_a_token_from_a_clock_up_to_ten_seconds_ahead_is_accepted(
    api: Client, ada: User, early: set[str], ahead: int
) -> None:
    text = token(claims(sub=str(ada.id), **dict.fromkeys(early, time.time() + ahead)))
    response = await api.get("/api/auth/me", headers={"Authorization": f"Bearer {text}"})

    assert 200 == response.status


@pytest.mark.parametrize("early", [{"iat": 30}, {"nbf": 30}, {"iat": 1, "nbf": 30}, {"iat": 30, "nbf": 1}])
async def test_a_token_from_a_clock_further_ahead_is_refused(me: Me, early: dict[str, int]) -> None:
    text = token(claims(**{name: int(time.time()) + ahead for name, ahead in early.items()}))

    assert (401, "invalid_token", CHALLENGE) == await me(bearer(text))


def test_the_leeway_ends_after_ten_seconds() -> None:
    with time_machine.travel(NOON, tick=False):
        taken = [is_taken(claims(iat=NOON + ahead, nbf=NOON + ahead)) for ahead in (0, 10, 11)]

    assert [True, True, False] == taken


def is_taken(content: dict[str, object]) -> bool:
    request = make_mocked_request("GET", "/", headers=dict(bearer(token(content))))
    try:
        asyncio.run(Tokens(SECRET, ttl=timedelta(hours=1)).verify(request))
    except InvalidToken:
        return False
    return True


@pytest.mark.parametrize("late", [0, 1, 5])
async def test_an_expired_token_has_no_leeway_however_early_it_is(me: Me, late: int) -> None:
    now = int(time.time())
    _, code, _ = await me(bearer(token(claims(iat=now + 5, nbf=now + 5, exp=now - late))))

    assert "token_expired" == code


@pytest.mark.parametrize(
    "change", [{"typ": "refresh"}, {"sub": "ada"}, {"jti": 7}, {"sid": None}, {"aud": "other"}, {"iss": "x"}]
)
async def test_an_early_token_must_hold_what_any_other_must(me: Me, change: dict[str, object]) -> None:
    text = token(claims(**{"nbf": int(time.time()) + 5, **change}))

    assert (401, "invalid_token", CHALLENGE) == await me(bearer(text))


async def test_a_forged_token_is_not_called_expired(me: Me) -> None:
    expired = claims(exp=int(time.time()) - 1)
    _, code, _ = await me(bearer(token(expired, secret="another key of at least 32 bytes...")))

    assert "invalid_token" == code


async def test_a_token_in_the_query_or_a_cookie_is_none(api: Client, ada: User) -> None:
    text = ada.headers["Authorization"].removeprefix("Bearer ")
    response = await api.get(f"/api/auth/me?access_token={text}&token={text}", headers={"Cookie": f"token={text}"})

    assert 401 == response.status


async def test_an_issued_token_holds_what_is_required_for_the_time_that_is_set(ready: Settings, ada: User) -> None:
    content = jwt.decode(
        ada.headers["Authorization"].removeprefix("Bearer "), SECRET, algorithms=["HS256"], audience="quotewell-api"
    )

    assert set(REQUIRED) <= set(content)
    assert (content["sub"], content["iss"], content["typ"]) == (str(ada.id), "quotewell", "access")
    assert content["exp"] - content["iat"] == ready.access_token_ttl.total_seconds()


async def test_after_a_rotation_tokens_of_the_previous_key_are_good_and_those_of_the_one_before_are_not(
    ada: User, open_api: OpenApi
) -> None:
    fresh = "a fresh secret that has more than 32 bytes"
    rotated = await open_api(jwt_secret=fresh, jwt_previous_secret=SECRET)
    twice = await open_api(jwt_secret="another secret that has more than 32 bytes", jwt_previous_secret=fresh)
    statuses = []
    for client in (rotated, twice):
        async with client.get("/api/auth/me", headers=ada.headers) as response:
            statuses.append(response.status)

    assert [200, 401] == statuses


async def test_a_rotated_process_signs_with_the_new_key(open_api: OpenApi) -> None:
    rotated = await open_api(jwt_secret="a fresh secret that has more than 32 bytes", jwt_previous_secret=SECRET)
    user = await register(rotated, "ada")
    header = jwt.get_unverified_header(user.headers["Authorization"].removeprefix("Bearer "))

    assert header["kid"] != KID


async def test_a_token_of_a_process_with_another_secret_is_refused(ada: User, open_api: OpenApi) -> None:
    other = await open_api(jwt_secret="another secret that has more than 32 bytes")
    response = await other.get("/api/auth/me", headers=ada.headers)

    assert 401 == response.status


def _wild_headers(chance: random.Random) -> str:
    """Header values between noise and nearly right."""
    letters = [chr(n) for n in (*range(0x20, 0x7F), 0xE9, 0x20AC, 0x1F600)]
    noise = "".join(chance.choices(letters, k=chance.randrange(200)))
    some_json = json.dumps(chance.choice([None, 7, [], {"alg": noise}, {**HEADER, noise: noise}, {"kid": KID}]))
    part = _base64(chance.choice([some_json.encode(), noise.encode(), chance.randbytes(40)])).decode()
    right = good()
    at = chance.randrange(len(right) - 1)
    # the letter is another one whatever it was
    mutated = right[:at] + ("A" if right[at] != "A" else "B") + right[at + 1 :]
    return chance.choice(
        [noise, f"Bearer {noise}", f"Bearer {part}.{part}.{part}", f"Bearer {mutated}", f"Bearer {part}.{right}"]
    ).strip()


async def test_ten_thousand_random_headers_are_refused_each() -> None:
    chance, tokens = random.Random(1), Tokens(SECRET, ttl=timedelta(hours=1))

    for _ in range(10_000):
        request = make_mocked_request("GET", "/", headers={"Authorization": _wild_headers(chance)})
        with pytest.raises(InvalidToken):
            await tokens.verify(request)


async def test_a_thousand_random_headers_are_401_each(api: Client, ada: User) -> None:
    chance = random.Random(2)
    values = [_wild_headers(chance) for _ in range(1000)]
    wrong: list[tuple[int, str]] = []

    async def send(some: list[str]) -> None:
        for value in some:
            async with api.get("/api/watchlist", headers={"Authorization": value}) as response:
                if response.status != 401:
                    wrong.append((response.status, value))

    await asyncio.gather(*(send(values[start::4]) for start in range(4)))

    assert [] == wrong


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
ODD_HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]), JSON, max_size=3)
ODD_CLAIMS = st.dictionaries(st.sampled_from([*REQUIRED, "scope"]), JSON, max_size=3)


@settings(max_examples=200)
@given(header=ODD_HEADERS, content=ODD_CLAIMS)
def test_whatever_a_signed_token_says_it_is_taken_or_refused(header: dict[str, Any], content: dict[str, Any]) -> None:
    text = token({**claims(), **content}, header={**HEADER, **header})
    tokens = Tokens(SECRET, ttl=timedelta(hours=1))
    request = make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {text}"})
    if len(text) > 4000:
        return

    try:
        taken = asyncio.run(tokens.verify(request))
    except InvalidToken:
        return

    assert str(taken["sub"]).isdecimal()
    assert ("quotewell", "access") == (taken["iss"], taken["typ"])
