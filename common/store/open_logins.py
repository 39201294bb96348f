"""How many logins of an account are open. It belongs to common/store/logins.py, beside `end_logins`."""

from common.store.pool import Connection


async def select_open_logins(connection: Connection, user: int) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM logins WHERE user_id = $1 AND ended_at IS NULL", user))
