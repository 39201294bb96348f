"""Migrated databases for tests: a fresh copy of a template, and one that is emptied and used again.

To make and drop a database takes ten times as long as to empty one.
"""

import itertools
import os
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

TEMPLATE = "quotewell_template"
# As TRUNCATE of all tables with RESTART IDENTITY, which takes six times as long: it makes some hundred files.
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    -- No foreign key is checked, so the order does not matter. The tables whose names begin with _ are those of db/.
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^_|yoyo|test_clock' LOOP
        IF pg_relation_size(quote_ident(name)::regclass) > 1e6 THEN -- deleted rows stay in the way of each scan
            EXECUTE format('TRUNCATE %I CASCADE', name);
        ELSE
            EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
    INSERT INTO history_thinning (until) VALUES ('-infinity'); -- the one row that a migration makes
    PERFORM setval(sequencename::regclass, start_value, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
END_SESSIONS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
SCHEMA = """
SELECT md5(string_agg(item, ' ' ORDER BY item)) FROM (
    SELECT concat(oid, prosrc, provolatile) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat(oid, relname, relkind) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat(attrelid, attname, atttypid, attnotnull, attisdropped)
        FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat(oid, conname, convalidated) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat(oid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat(setdatabase, setconfig) FROM pg_db_role_setting
    UNION ALL SELECT migration_id FROM _yoyo_migration
    UNION ALL SELECT concat(migration_id, sha256) FROM _yoyo_hash
    UNION ALL SELECT concat(name, sha256) FROM _function_hash
) AS items (item)
"""
_numbers = itertools.count()


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def create(server: str, database: str, *, template: str = TEMPLATE) -> str:
    """Make a database anew as a copy; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        statement = sql.SQL(_create_statement(connection.info.server_version))
        connection.execute(statement.format(name, sql.Identifier(template)))
    return named(server, database)


def create_next(server: str) -> str:
    """Make a database under a name that no other has; its URL."""
    return create(server, f"quotewell_test_{os.getpid()}_{next(_numbers)}")


def drop(server: str, url: str) -> None:
    """Drop a database of a server, with its sessions."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(urlsplit(url).path[1:])))


def empty(url: str) -> None:
    """Delete all rows, and restart all sequences."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(EMPTY)


def _create_statement(version: int) -> LiteralString:
    """PostgreSQL 15 and later copy through the WAL by default, which takes twice as long."""
    statement = "CREATE DATABASE {} TEMPLATE {}"
    return f"{statement} STRATEGY file_copy" if version >= 15_00_00 else statement


class SharedDatabase:
    """One database for one test after another. A test that changed its schema leaves it to nobody: the next one gets a new copy."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._url = ""
        self._connection: psycopg.Connection | None = None
        self._schema: object = None

    def prepare(self) -> str:
        """The URL of an empty database without sessions of earlier tests."""
        if not self._reset():
            self._replace()
        return self._url

    def close(self) -> None:
        """Drop the database."""
        if self._connection:
            self._connection.close()
            self._connection = None
            drop(self._server, self._url)

    def _reset(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.execute(END_SESSIONS)
            if self._schema != self._connection.execute(SCHEMA).fetchone():
                return False
            self._connection.execute(EMPTY)
        except psycopg.Error:  # the test ended this session, or restarted the server
            return False
        return True

    def _replace(self) -> None:
        self.close()
        self._url = create_next(self._server)
        self._connection = psycopg.connect(self._url, autocommit=True)
        self._schema = self._connection.execute(SCHEMA).fetchone()
