"""`quotewell migrate`: db/migrate.py does it; here it is said."""

import os

import psycopg

from common.errors import StoreUnavailable
from db.migrate import failure
from db.migrate import migrate as apply
from ops.stores import open_settings
from ops.terminal import AWAY, REFUSED, AsJson, end, print_json


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to this version's tables.

    Safe when two start at once, and when one was killed midway. Start it before the new version's processes.
    """
    os.environ.setdefault("LOGNAME", "quotewell")  # yoyo logs a user name; a container's user may have none
    with open_settings() as settings:
        try:
            applied = apply(settings.database_url)
        except StoreUnavailable as error:
            end(REFUSED, str(error))
        except psycopg.OperationalError as error:
            end(AWAY, f"{failure(error)}; see that the database runs, and that DATABASE_URL leads to it")
        except psycopg.Error as error:
            end(REFUSED, failure(error))
    if as_json:
        print_json({"applied": applied})
    elif applied:
        print("applied " + ", ".join(applied))
    else:
        print("nothing to apply")
