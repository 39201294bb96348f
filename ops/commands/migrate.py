"""`quotewell migrate`: db/migrate.py applies the migrations; this command reports them."""

import os

import psycopg
from msgspec import Struct

from common.errors import StoreUnavailable
from db.migrate import failure
from db.migrate import migrate as apply
from ops.arguments import AsJson
from ops.render import AWAY, REFUSED, end, render
from ops.stores import open_settings


class MigrationReport(Struct, frozen=True):
    applied: list[str]


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to this version's tables.

    Safe when two start at once, and when one was killed midway. Start it before the new version's processes.
    """
    os.environ.setdefault("LOGNAME", "quotewell")  # yoyo logs a user name; a container's user may have none
    with open_settings() as settings:
        try:
            report = MigrationReport(apply(settings.database_url))
        except StoreUnavailable as error:
            end(REFUSED, str(error))
        except psycopg.OperationalError as error:
            end(AWAY, f"{failure(error)}; see that the database runs, and that DATABASE_URL leads to it")
        except psycopg.Error as error:
            end(REFUSED, failure(error))
    render(report, _show, as_json=as_json)


def _show(report: MigrationReport) -> str:
    return f"applied {', '.join(report.applied)}" if report.applied else "nothing to apply"
