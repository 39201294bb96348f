"""The demo of `make run`: a user with a watchlist, and one line with the addresses once the first quote is served.

Development only. It talks to the API as a frontend does; only the account is made past it, for its password is too short to register.
"""

import asyncio
import os
import sys

import aiohttp

from common.errors import EmailTaken, UsernameTaken
from common.passwords import SCHEME, Passwords
from common.settings import Settings
from common.store.pool import open_pool, transaction
from common.store.users import insert_user

USERNAME, EMAIL, PASSWORD = "demo", "demo@robinhoodclone.com", "demo123"  # everybody may know it
WATCHLIST = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX", "SPY", "BRK-B")
AGAIN = 0.3  # seconds between two looks


async def make_user(settings: Settings) -> None:
    """Make the demo account unless it is there."""
    passwords = Passwords(cost=settings.bcrypt_cost)
    pool = await open_pool(settings.database_url, name="quotewell-demo", size=1, patience=5)
    try:
        async with transaction(pool) as held:
            await insert_user(held, USERNAME, EMAIL, await passwords.hash(PASSWORD), SCHEME)
    except (UsernameTaken, EmailTaken):
        pass
    finally:
        passwords.close()
        await pool.close()


async def wait_for_api(http: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with http.get("/api/health") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(AGAIN)


async def fill_watchlist(http: aiohttp.ClientSession) -> None:
    """Watch the demo's symbols; those that are watched already stay."""
    async with http.post("/api/auth/login", json={"username": USERNAME, "password": PASSWORD}) as answer:
        token = (await answer.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for symbol in WATCHLIST:
        async with http.post("/api/watchlist", json={"symbol": symbol}, headers=headers) as answer:
            await answer.read()


async def wait_for_quote(http: aiohttp.ClientSession) -> dict[str, object]:
    while True:
        async with http.get(f"/api/stock/{WATCHLIST[0]}", params={"wait": "20"}) as answer:
            if answer.status == 200:
                quote: dict[str, object] = await answer.json()
                return quote
        await asyncio.sleep(AGAIN)


async def main() -> None:
    settings = Settings.from_env(os.environ, serves_tokens=True)
    if settings.environment != "development":
        sys.exit("the demo user is for QUOTEWELL_ENV=development")
    await make_user(settings)
    base = f"http://localhost:{settings.port}"
    async with aiohttp.ClientSession(base) as http:
        await wait_for_api(http)
        await fill_watchlist(http)
        quote = await wait_for_quote(http)
    print(
        f"Quotewell serves: {base}/api/stock/AAPL ({quote['price']} USD, {quote['source']}), {base}/api/health; "
        f"log in as {USERNAME} / {PASSWORD}; Ctrl-C ends",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
