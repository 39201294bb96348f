"""Hashes of the tokens with which a forgotten password is replaced. Of each user the newest token alone is good, once."""

from datetime import timedelta

from common.store.connection.pool import Connection, affected

KIND = "password_reset"  # of the mail in the outbox; its content: `name`, `address`, `at`, `request_id`
RESET_TTL = timedelta(minutes=30)
MAX_RESETS = (
    3  # mails to one user within `RESET_TTL`; so whoever is refused another one has a good token in the mailbox
)


async def issue_reset(connection: Connection, user: int, mail: int, hashed: bytes) -> bool:
    """Make a token good, and all earlier ones of the user void. Return False and change nothing if the user got `MAX_RESETS` lately.

    A further try of the same mail replaces its token, unless that was used or is void already. The user's row is locked, so concurrent
    requests are counted one after another.
    """
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user)
    issued = await connection.fetchval(
        """
        INSERT INTO password_resets (mail_id, user_id, hash, expires_at)
        SELECT $2, $1, $3, now() + $4::interval WHERE $5 > (
            SELECT count(*) FROM password_resets
            WHERE user_id = $1 AND mail_id <> $2 AND issued_at > now() - $4::interval
        )
        ON CONFLICT (mail_id) DO UPDATE SET hash = $3, issued_at = now(), expires_at = now() + $4::interval
            WHERE password_resets.ended_at IS NULL
        RETURNING true
        """,
        user,
        mail,
        hashed,
        RESET_TTL,
        MAX_RESETS,
    )
    if issued:
        await connection.execute(
            "UPDATE password_resets SET ended_at = now() WHERE user_id = $1 AND mail_id <> $2 AND ended_at IS NULL",
            user,
            mail,
        )
    return bool(issued)


async def select_reset(connection: Connection, hashed: bytes) -> int | None:
    """The user of a good token; None if it is void, used, expired or unknown, or the user is locked."""
    user: int | None = await connection.fetchval(
        """
        SELECT user_id FROM password_resets JOIN users ON users.id = user_id
        WHERE hash = $1 AND ended_at IS NULL AND expires_at > now() AND locked_at IS NULL
        """,
        hashed,
    )
    return user


async def use_reset(connection: Connection, hashed: bytes) -> bool:
    """Use up a token; return whether it was good. Of two concurrent uses one succeeds. Lock the user's row before."""
    return bool(
        await connection.fetchval(
            """
            UPDATE password_resets SET ended_at = clock_timestamp() FROM users
            WHERE hash = $1 AND ended_at IS NULL AND expires_at > now() AND users.id = user_id AND locked_at IS NULL
            RETURNING true
            """,
            hashed,
        )
    )


async def end_resets(connection: Connection, user: int) -> None:
    """Make all tokens of a user void: the password was changed in another way."""
    await connection.execute(
        "UPDATE password_resets SET ended_at = clock_timestamp() WHERE user_id = $1 AND ended_at IS NULL", user
    )


async def delete_old_resets(connection: Connection, *, keep: timedelta) -> int:
    """Delete what expired `keep` ago; return how many."""
    done = await connection.execute("DELETE FROM password_resets WHERE expires_at < now() - $1::interval", keep)
    return affected(done)
