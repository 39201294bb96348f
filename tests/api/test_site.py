"""The pages' files: each allows its own style and script alone, needs no other host, and never makes markup of what comes from outside."""

import base64
import hashlib
import re

import pytest
from aiohttp import ClientResponse

from tests.api.conftest import Client

PAGES = ("/", "/ops", "/reset", "/api/docs")


def parts(page: str) -> list[tuple[str, str]]:
    return re.findall(r"<(script|style)>(.*?)</\1>", page, re.S)


def policy_of(answer: ClientResponse) -> dict[str, str]:
    policy = answer.headers["Content-Security-Policy"]
    return dict(part.split(" ", 1) for part in policy.split("; "))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_allowed_its_own_script_and_style_only(api: Client, path: str) -> None:
    answer = await api.get(path)
    page, policy = await answer.text(), policy_of(answer)
    hashes = {
        f"{tag}-src": f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
        for tag, part in parts(page)
    }

    assert (200, "text/html", "utf-8") == (answer.status, answer.content_type, answer.charset)
    assert {"script-src", "style-src"} == set(hashes)
    assert policy == hashes | {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_no_script_or_style_outside_of_the_two(api: Client, path: str) -> None:
    page = await (await api.get(path)).text()

    assert [] == re.findall(r"<(?:script|style)\s|\son\w+=|\sstyle=|javascript:", page)
    assert [] == re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", page)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_names_no_other_host(api: Client, path: str) -> None:
    page = (await (await api.get(path)).text()).replace("http://www.w3.org/2000/svg", "")  # a name, not a place

    assert [] == re.findall(r"(?:\w+:)?//[\w.-]+\.\w+", page)


@pytest.mark.parametrize("path", ["/", "/ops"])
async def test_a_link_to_a_page_works_with_whatever_others_put_behind_it(api: Client, path: str) -> None:
    answer = await api.get(f"{path}?utm_source=elsewhere")

    assert 200 == answer.status
    assert "public, max-age=60" == answer.headers["Cache-Control"]


async def test_a_page_is_not_for_who_takes_json_only(api: Client) -> None:
    answer = await api.get("/", headers={"Accept": "application/json"})

    assert (406, "not_acceptable") == (answer.status, (await answer.json())["code"])
