"""The page where a mail's link leads: the code is taken out of the address, and used once."""

import pytest
from playwright.async_api import expect

from common.core.secrets import digest
from common.passwords import SCHEME
from common.store.accounts.resets import issue_reset
from common.store.accounts.users import insert_user
from common.store.connection.pool import transaction
from tests.pages.conftest import OpenPage, Site, barriers

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = "100000/1min"
SETTINGS = {"SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "quotes@example.org"}  # nothing is sent here
TOKEN = "a-token_of-these-tests"


async def test_a_link_leads_to_a_new_password_by_keyboard_alone(open_page: OpenPage, site: Site) -> None:
    async with transaction(site.resources.db) as connection:
        user = await insert_user(connection, "ada", "ada@example.com", "hash", SCHEME)
        assert await issue_reset(connection, user.id, 1, digest(TOKEN))
    page = await open_page(f"/reset#{TOKEN}")
    shown = page.url
    await expect(page.get_by_label("New password")).to_be_focused()
    await page.keyboard.type("another horse battery")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status")).to_have_text("The password was changed. Log in with it.")
    await expect(page.locator("form")).to_be_hidden()
    assert "#" not in shown


async def test_a_code_that_is_void_is_said_and_nothing_bars_anybody(open_page: OpenPage) -> None:
    page = await open_page("/reset")
    await expect(page.get_by_label("Code from the mail")).to_be_focused()
    await page.get_by_label("Code from the mail").fill(" never-issued ")
    await page.get_by_label("New password").fill("another horse battery")
    await page.get_by_role("button").click()

    await expect(page.get_by_role("status")).to_contain_text("Request another mail.")
    assert [] == await barriers(page)
