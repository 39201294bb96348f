"""The document and the pages: compressed as the client takes it, each encoding with its own validator. Quotes are never compressed."""

import gzip
from datetime import UTC, datetime

import brotli
import pytest
import time_machine
from aiohttp import ClientResponse

from api.static import Static, prefer
from tests.api.conftest import Client

PATHS = ("/", "/ops", "/api/docs", "/api/openapi.json")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip,deflate", "gzip"),
        ("deflate", "identity"),
        ("zstd", "identity"),
        ("identity", "identity"),
        ("*", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.6", "gzip"),
        ("br;q=0.5, gzip;q=0.5", "br"),
        ("br ; q=0.1 ,gzip ; Q=0.2", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=1.000", "gzip"),
        ("br;q=0, *", "gzip"),
        ("gzip;q=0, *;q=0.5", "br"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0.5, identity;q=0.4", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("identity, *;q=0", "identity"),
        ("deflate, identity;q=0, *;q=0.1", "br"),
        ("gzip;q=x", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;q=", "identity"),
        ("gzip;level=9", "identity"),
        ("identity;q=x", "identity"),
        ("gzip2", "identity"),
        ("brotli", "identity"),
        (",, ;q=1,", "identity"),
        ("\u00e9, gzip", "gzip"),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("gzip;q=0, br;q=0, identity;q=0", None),
        ("deflate, identity;q=0", None),
    ],
)
def test_the_client_chooses_the_encoding(accepted: str | None, encoding: str | None) -> None:
    assert encoding == prefer(None if accepted is None else [accepted])


def test_several_lines_are_one_list() -> None:
    assert ["br", "gzip", "identity"] == [
        prefer(lines) for lines in (["gzip", "br"], ["gzip", "br;q=0.1"], ["gzip;q=0", "deflate"])
    ]


async def fetch(api: Client, path: str, accepted: str, **headers: str) -> tuple[ClientResponse, bytes]:
    """The answer and its body as sent; an empty `accepted` sends no header."""
    sent = {**({"Accept-Encoding": accepted} if accepted else {}), **headers}
    api.session._auto_decompress = False
    async with api.get(path, headers=sent, skip_auto_headers=["Accept-Encoding"]) as answer:
        return answer, await answer.read()


async def test_a_static_answer_is_sent_as_the_client_takes_it(api: Client) -> None:
    for path in PATHS:
        plain, whole = await fetch(api, path, "")
        zipped, short = await fetch(api, path, "gzip")
        shortest, packed = await fetch(api, path, "gzip, deflate, br")

        assert [None, "gzip", "br"] == [answer.headers.get("Content-Encoding") for answer in (plain, zipped, shortest)]
        assert whole == gzip.decompress(short) == brotli.decompress(packed)
        assert len(packed) < len(short) < len(whole) / 2
        for answer, body in ((plain, whole), (zipped, short), (shortest, packed)):
            assert (200, str(len(body))) == (answer.status, answer.headers["Content-Length"])
            assert ["Origin, Accept-Encoding"] == answer.headers.getall("Vary")
            assert plain.headers["Content-Type"] == answer.headers["Content-Type"]
            assert "public, max-age=60" == answer.headers["Cache-Control"]
            assert not answer.headers["ETag"].startswith("W/")
        assert 3 == len({answer.headers["ETag"] for answer in (plain, zipped, shortest)})


async def test_a_validator_is_good_for_its_own_encoding_only(api: Client) -> None:
    encodings = ("identity", "gzip", "br")
    for path in PATHS:
        tags = {encoding: (await fetch(api, path, encoding))[0].headers["ETag"] for encoding in encodings}
        statuses = {
            (has, takes): (await fetch(api, path, takes, **{"If-None-Match": tags[has]}))[0].status
            for has in encodings
            for takes in encodings
        }
        either, _ = await fetch(api, path, "br, gzip", **{"If-None-Match": f"{tags['gzip']}, W/{tags['br']}"})

        assert {(has, takes): 304 if has == takes else 200 for has, takes in statuses} == statuses
        assert 304 == either.status


async def test_a_304_repeats_the_headers_that_a_browser_replaces(api: Client) -> None:
    names = ("ETag", "Vary", "Cache-Control", "Last-Modified", "Content-Security-Policy", "Referrer-Policy")
    for path in PATHS:
        full, _ = await fetch(api, path, "br")
        confirmed, body = await fetch(api, path, "br", **{"If-None-Match": full.headers["ETag"]})

        assert (304, b"") == (confirmed.status, body)
        assert {name: full.headers[name] for name in names} == {name: confirmed.headers[name] for name in names}
        assert "Content-Encoding" not in confirmed.headers


async def test_head_tells_what_get_would_send(api: Client) -> None:
    same = ("ETag", "Content-Encoding", "Content-Type", "Vary", "Content-Length")
    for path in PATHS:
        got, body = await fetch(api, path, "gzip")
        async with api.head(path, headers={"Accept-Encoding": "gzip"}) as head:
            assert (200, b"") == (head.status, await head.read())
            assert {name: got.headers[name] for name in same} == {name: head.headers[name] for name in same}
        assert str(len(body)) == got.headers["Content-Length"]


async def test_a_client_that_takes_no_encoding_is_refused(api: Client) -> None:
    for path in PATHS:
        answer = await api.get(path, headers={"Accept-Encoding": "identity;q=0"})

        assert (406, "not_acceptable") == (answer.status, (await answer.json())["code"])


def test_all_processes_send_the_same_bytes_whenever_they_started() -> None:
    """Otherwise a client of several processes would never get 304."""
    made = []
    for year in (2026, 2027):
        with time_machine.travel(datetime(year, 1, 1, tzinfo=UTC)):
            made.append(Static(b"text " * 100, "text/plain"))

    assert made[0]._encoded == made[1]._encoded


async def test_a_quote_is_sent_as_it_is(api: Client) -> None:
    await api.get("/api/stock/AAPL?wait=10")
    answers = [await fetch(api, path, "br, gzip") for path in ("/api/stock/AAPL", "/api/stock/AAPL?wait=0")]

    assert [None] * 2 == [answer.headers.get("Content-Encoding") for answer, _ in answers]
    assert ["Origin"] * 2 == [answer.headers["Vary"] for answer, _ in answers]
