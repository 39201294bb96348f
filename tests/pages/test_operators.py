"""The page `/ops` in a browser, with a worker at work: log in, see what is there, and act on it."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from common.operations.refresh_jobs import queue_refresh
from common.operations.symbols import pin
from common.process.resources import open_resources
from common.store.accounts.users import update_scope
from common.store.connection.pool import acquire
from common.store.market import feed
from tests.api.conftest import PASSWORD, a_quote, register
from tests.harness.polling import eventually
from tests.pages.conftest import OpenPage, Site, barriers
from worker.jobs import work_queue

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = "5/1s,60/1min"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def at_work(site: Site) -> AsyncIterator[None]:
    """An operator, a user, a symbol in quarantine, and a worker."""
    operator = await register(site.api, "grace")
    await register(site.api, "ada")
    async with acquire(site.resources.db) as connection:
        await update_scope(connection, operator.id, "operator")
    for symbol in ("IBM", "ORCL", "NOSUCH"):
        await pin(site.resources, symbol, by="cli:tests@here")
    await queue_refresh(site.resources, ["NOSUCH"], by="cli:tests@here")
    async with open_resources(site.resources.settings, name="worker", statement_timeout=10) as resources:
        stopped = asyncio.Event()

        async def work() -> None:
            while not stopped.is_set():
                await work_queue(resources, stopping=stopped.is_set, ticked=True)

        task = asyncio.create_task(work())
        await eventually(lambda: failed(site, "NOSUCH"))
        yield
        stopped.set()
        await task


async def failed(site: Site, symbol: str) -> bool:
    async with acquire(site.resources.db) as connection:
        return bool(await connection.fetchval("SELECT failures > 0 FROM attempts WHERE symbol = $1", symbol))


async def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Username or email").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")


@pytest_asyncio.fixture(loop_scope="module")
async def desk(open_page: OpenPage) -> Page:
    """The page of an operator who is logged in, and sees all of it."""
    page = await open_page("/ops")
    await log_in(page, "grace")
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#limits .limit")).to_have_count(2)
    return page


def row_of(page: Page, symbol: str) -> Locator:
    return page.locator("#symbols tr", has=page.get_by_text(symbol, exact=True))


async def test_an_operator_logs_in_by_keyboard_alone(open_page: OpenPage) -> None:
    page = await open_page("/ops")
    await expect(page.get_by_label("Username or email")).to_be_focused()
    await page.keyboard.type("grace")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")

    await expect(page.locator("#who")).to_have_text("grace")
    await expect(page.get_by_role("heading", name="Status")).to_be_visible()


async def test_a_wrong_password_is_said(open_page: OpenPage) -> None:
    page = await open_page("/ops")
    await log_in(page, "grace", "a password of theirs")

    await expect(page.get_by_role("alert")).to_have_text("The username or the password is wrong.")
    await expect(page.locator("#desk")).to_be_hidden()


async def test_who_is_no_operator_is_told_so_and_what_to_do(open_page: OpenPage) -> None:
    page = await open_page("/ops")
    await log_in(page, "ada")

    await expect(page.get_by_role("alert")).to_have_text(
        "The account ada is not an operator. In a terminal, “quotewell user operator ada” makes it one; then log in again."
    )
    await expect(page.locator("#desk")).to_be_hidden()
    assert 0 == await page.evaluate("sessionStorage.length")


async def test_everything_is_seen_at_one_glance(desk: Page) -> None:
    status = desk.locator("#status")

    await expect(status).to_contain_text(
        re.compile("Quotewellhealthy.*Provider(ok|unknown).*Redisconnected.*Workers1 worker")
    )
    await expect(desk.locator("#limits .limit b")).to_have_text(["5 a second", "60 a minute"])
    await expect(row_of(desk, "AAPL")).to_contain_text(re.compile(r"\d s, target \d+ s"))
    await expect(desk.locator("#calls")).to_contain_text("quote · refresh")
    await expect(desk.locator("#pins")).to_contain_text("IBM")


async def test_the_stream_is_opened_with_a_ticket_for_an_instance_whose_reads_are_for_accounts(desk: Page) -> None:
    assert re.search(r"/api/stream\?symbols=[^&]+&ticket=[\w-]{40,}$", await desk.evaluate("stream.url"))


async def test_a_new_quote_is_seen_by_itself(desk: Page, site: Site) -> None:
    await expect(row_of(desk, "ORCL")).to_be_visible()
    assert await feed.publish(site.resources.redis, a_quote("ORCL", "4321.5"))

    await expect(row_of(desk, "ORCL")).to_contain_text("4,321.50")


async def test_a_refresh_is_queued_by_name_and_followed_to_its_end(desk: Page) -> None:
    await desk.get_by_label("Symbols, with spaces or commas between them").fill("ko, pep IBM")
    await desk.get_by_role("button", name="Queue these").click()

    await expect(desk.locator("#job-told")).to_have_text(re.compile(r"^Job \d+: 3 of 3 symbols done\.$"))
    await expect(desk.locator("#job-bar")).to_have_js_property("value", 3)
    await expect(desk.locator("#calls tr", has_text="operator").first).to_be_visible()
    await expect(row_of(desk, "IBM")).to_contain_text(re.compile(r"[0-3] s, target"))


async def test_a_symbol_of_the_list_is_refreshed_with_one_key(desk: Page) -> None:
    await desk.get_by_role("button", name="Refresh AAPL").focus()
    await desk.keyboard.press("Enter")

    await expect(desk.locator("#job-told")).to_have_text(re.compile(r"1 of 1 symbol done\.$"))
    await expect(desk.locator("#calls tr", has_text="operator").filter(has_text="AAPL").first).to_be_visible()


async def test_the_focus_stays_while_what_is_around_it_changes(desk: Page) -> None:
    button = desk.get_by_role("button", name="Refresh TSLA")
    await button.focus()
    newest = await desk.locator("#calls tr").first.text_content()
    await desk.get_by_label("by", exact=True).evaluate(
        "node => { node.value = 'symbol'; node.dispatchEvent(new Event('change')); }"
    )

    await expect(desk.locator("#symbols tr").first).to_contain_text("AAPL")
    await expect(desk.locator("#calls tr").first).not_to_have_text(newest or "")
    await expect(button).to_be_focused()


async def test_a_refresh_that_cannot_be_is_refused_in_a_sentence(desk: Page) -> None:
    for wanted, told in (
        ("", "Name at least one symbol, or choose All."),
        ("NOSUCH", "The provider does not have NOSUCH; leave out what it lacks, nothing was queued."),
        ("A{}", "Expected a symbol of 1 to 20 characters such as AAPL, BRK-B or TSCO.LON, not 'A{}'."),
    ):
        await desk.locator("#wanted").fill(wanted)
        await desk.get_by_role("button", name="Queue these").click()

        await expect(desk.locator("#job-told.wrong")).to_have_text(told)


async def test_a_quarantine_is_ended(desk: Page, site: Site) -> None:
    await desk.get_by_role("button", name="Release NOSUCH").click()

    await expect(desk.locator("#quarantine-told")).to_have_text("NOSUCH stands with the others again.")
    async with acquire(site.resources.db) as connection:
        assert 1 == await connection.fetchval("SELECT count(*) FROM audit WHERE event = 'quarantine_ended'")


async def test_calls_are_held_and_let_go(desk: Page) -> None:
    await desk.get_by_role("button", name="Hold").click()
    await expect(desk.locator("#held")).to_have_text("No call is made for 5 min: an operator holds them.")
    await expect(desk.locator("#status")).to_contain_text("Providerheld")
    await desk.get_by_role("button", name="Release", exact=True).click()

    await expect(desk.locator("#hold-told")).to_have_text("Calls go on.")
    await expect(desk.locator("#held")).to_have_text("")


async def test_a_symbol_is_pinned_and_unpinned(desk: Page) -> None:
    await desk.get_by_label("Pin a symbol").fill("crm")
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#pins")).to_contain_text("CRM")
    await desk.get_by_role("button", name="Unpin CRM").click()

    await expect(desk.locator("#pins-told")).to_have_text("CRM is not pinned any more.")
    await expect(desk.locator("#pins")).not_to_contain_text("CRM")
    await expect(desk.get_by_role("button", name="Unpin AAPL")).to_have_count(0)


async def test_a_user_is_found_and_deleted_once_it_is_confirmed(desk: Page, site: Site) -> None:
    await register(site.api, "mallory")
    await desk.get_by_label("Name or email begins with").fill("MALL")
    await desk.get_by_role("button", name="Find").click()
    await expect(desk.locator("#users tr")).to_have_count(1)
    await expect(desk.locator("#users")).to_contain_text("mallory@example.com")
    await desk.get_by_role("button", name="Delete mallory").click()
    dialog = desk.get_by_role("dialog", name="Delete mallory (mallory@example.com)?")
    await expect(dialog).to_contain_text("This cannot be undone.")
    assert [] == await barriers(desk)
    await dialog.get_by_role("button", name="Keep").click()
    await expect(dialog).to_be_hidden()
    async with acquire(site.resources.db) as connection:
        assert 1 == await connection.fetchval("SELECT count(*) FROM users WHERE username = 'mallory'")
    await desk.get_by_role("button", name="Delete mallory").click()
    await dialog.get_by_role("button", name="Delete for good").click()

    await expect(desk.locator("#users-told")).to_have_text("mallory is deleted.")
    await expect(desk.locator("#users")).to_have_text("None.")
    async with acquire(site.resources.db) as connection:
        assert 0 == await connection.fetchval("SELECT count(*) FROM users WHERE username = 'mallory'")
    await desk.get_by_label("Name or email begins with").fill("")
    await desk.get_by_role("button", name="Find").click()
    await expect(desk.locator("#users")).to_contain_text("grace@example.com · operator")
    await expect(desk.get_by_role("button", name="Delete grace")).to_have_count(0)


async def test_a_login_goes_on_past_its_token_and_over_a_reload(desk: Page) -> None:
    before = await desk.evaluate("session.access")
    await desk.evaluate("session.renew = 0; poll()")
    await desk.wait_for_function("before => session.access !== before", arg=before)
    await desk.reload()

    await expect(desk.locator("#limits .limit")).to_have_count(2)


async def test_a_login_that_was_ended_leads_back_to_the_log_in(desk: Page, site: Site) -> None:
    body = {"refresh_token": await desk.evaluate("session.refresh")}
    assert 200 == (await site.api.post("/api/auth/logout", json=body)).status

    await expect(desk.get_by_role("alert").first).to_have_text("Your login has ended. Log in again.")
    await expect(desk.locator("#desk")).to_be_hidden()


async def test_who_logs_out_leaves_nothing_behind(desk: Page, site: Site) -> None:
    access = await desk.evaluate("session.access")
    await desk.get_by_role("button", name="Log out").click()
    await expect(desk.get_by_role("button", name="Log in")).to_be_visible()
    assert 0 == await desk.evaluate("sessionStorage.length")

    async def ended() -> bool:
        headers = {"Authorization": f"Bearer {access}"}
        return (await site.api.get("/api/ops/status", headers=headers)).status == 401

    await eventually(ended)


async def test_what_does_not_answer_now_is_said_and_asked_again(desk: Page) -> None:
    body = {"error": "PostgreSQL does not answer", "code": "store_unavailable", "request_id": "a"}
    await desk.route(
        "**/api/ops/line*", lambda route: route.fulfill(status=503, headers={"Retry-After": "9"}, json=body)
    )
    await desk.evaluate("poll()")
    await expect(desk.locator("#told")).to_have_text("PostgreSQL does not answer. Looking again in 9 s.")
    await desk.unroute("**/api/ops/line*")
    await desk.evaluate("poll()")

    await expect(desk.locator("#told")).to_have_text("")


async def test_everybody_can_use_it_on_phone_and_desk_by_day_and_night(open_page: OpenPage) -> None:
    page = await open_page("/ops")
    before = await barriers(page)
    await log_in(page, "grace")
    await expect(page.locator("#status > div")).to_have_count(11)
    await expect(page.locator("#limits .limit")).to_have_count(2)
    await expect(row_of(page, "AAPL")).to_be_visible()

    assert [] == before
    assert [] == await barriers(page)
