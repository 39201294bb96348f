-- Back to the three purposes. Ages go back too; the texts of the functions are those of 0013.
DROP TRIGGER IF EXISTS users_sleep ON users;
DROP FUNCTION IF EXISTS count_sleepers();
DROP TYPE IF EXISTS choice CASCADE;
DROP INDEX IF EXISTS users_firsts, users_seen, symbols_turn, symbols_pinned, calls_grouped, demand_order, demand_expires, demand_taken, demand_ready;
ALTER TABLE users DROP COLUMN IF EXISTS seen_at, DROP COLUMN IF EXISTS asleep, DROP COLUMN IF EXISTS firsts_at;
ALTER TABLE ledgers DROP COLUMN IF EXISTS failures, DROP COLUMN IF EXISTS closed_at, DROP COLUMN IF EXISTS last_background, DROP COLUMN IF EXISTS weighed_at, DROP COLUMN IF EXISTS clock;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS background_held_until timestamptz;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS retry_credit double precision NOT NULL DEFAULT 1;
TRUNCATE demand;
ALTER TABLE demand DROP COLUMN IF EXISTS class, DROP COLUMN IF EXISTS groups;
ALTER TABLE demand ADD COLUMN IF NOT EXISTS purpose smallint NOT NULL CHECK (purpose BETWEEN 0 AND 2);
ALTER TABLE calls ADD COLUMN IF NOT EXISTS purpose smallint NOT NULL DEFAULT 2 CHECK (purpose BETWEEN 0 AND 2);
UPDATE calls SET purpose = CASE class WHEN 'operator' THEN 1 ELSE 0 END WHERE class IN ('user', 'stranger', 'operator');
ALTER TABLE calls ALTER COLUMN purpose DROP DEFAULT, DROP COLUMN IF EXISTS class, DROP COLUMN IF EXISTS groups;
DROP INDEX IF EXISTS calls_slots;
CREATE INDEX calls_slots ON calls (account, ends_at DESC) INCLUDE (purpose) WHERE outcome IS DISTINCT FROM 'unsent';
ALTER TABLE symbols ADD COLUMN IF NOT EXISTS account text, ADD COLUMN IF NOT EXISTS attempted_at timestamptz,
    ADD COLUMN IF NOT EXISTS attempted_clock double precision, ADD COLUMN IF NOT EXISTS quoted boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS failures integer NOT NULL DEFAULT 0, ADD COLUMN IF NOT EXISTS quarantined_until timestamptz;
UPDATE symbols s SET quoted = true, attempted_clock = s.clock, attempted_at = q.fetched_at,
    account = (SELECT c.account FROM calls c ORDER BY c.id DESC LIMIT 1)
FROM quotes q WHERE q.symbol = s.symbol AND s.source IS NOT NULL;
ALTER TABLE symbols DROP COLUMN IF EXISTS source, DROP COLUMN IF EXISTS clock, DROP COLUMN IF EXISTS level;
CREATE INDEX IF NOT EXISTS symbols_failing ON symbols (quarantined_until) WHERE failures > 0;
DROP TABLE IF EXISTS credits;
DROP TABLE IF EXISTS attempts;

CREATE OR REPLACE FUNCTION lock_ledger()
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true);
    PERFORM pg_advisory_xact_lock(730405);
    RETURN ledger_now();
END $$;

CREATE OR REPLACE FUNCTION is_ready(p_ready_at timestamp with time zone, p_taken_until timestamp with time zone, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $$
    SELECT NOT coalesce(p_ready_at > p_now AND p_ready_at < p_now + interval '1 minute', false)
        AND NOT coalesce(p_taken_until > p_now AND p_taken_until < p_now + interval '1 minute', false)
$$;

CREATE OR REPLACE FUNCTION decayed(p_reads double precision, p_at timestamp with time zone, p_now timestamp with time zone, p_half_life interval)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE
AS $$
    -- all in float8: in numeric, where extract() leads, a hundred thousand symbols take a quarter of a second
    SELECT CASE WHEN p_at IS NULL OR p_reads = 0 THEN 0
        ELSE p_reads * exp(-0.6931471805599453::float8 / date_part('epoch', p_half_life) * date_part('epoch', p_now - p_at))
    END
$$;

CREATE OR REPLACE FUNCTION add_to_watchlist(p_user bigint, p_symbol text, p_limit integer)
 RETURNS text
 LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM users WHERE id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'no_user';
    END IF;
    IF EXISTS (SELECT 1 FROM watchlist_items WHERE user_id = p_user AND symbol = p_symbol) THEN
        RETURN 'already';
    END IF;
    IF (SELECT count(*) FROM watchlist_items WHERE user_id = p_user) >= p_limit THEN
        RETURN 'full';
    END IF;
    INSERT INTO watchlist_items (user_id, symbol, added_at) VALUES (p_user, p_symbol, clock_timestamp());
    RETURN 'added';
END $$;

CREATE OR REPLACE FUNCTION count_watchers()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO symbols (symbol, watchers) VALUES (NEW.symbol, 1)
        ON CONFLICT (symbol) DO UPDATE SET watchers = symbols.watchers + 1,
            quarantined_until = least(symbols.quarantined_until, ledger_now());
    ELSE
        UPDATE symbols SET watchers = watchers - 1 WHERE symbol = OLD.symbol;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION lock_watched_symbols()
 RETURNS trigger
 LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM symbols WHERE symbol IN (SELECT i.symbol FROM watchlist_items i WHERE i.user_id = OLD.id) ORDER BY symbol FOR UPDATE;
    RETURN OLD;
END $$;

CREATE OR REPLACE FUNCTION join_line(p_function text, p_subjects text[], p_purpose integer, p_stay interval, p_bound integer, p_asker text, p_fair integer, p_source text)
 RETURNS text
 LANGUAGE plpgsql
AS $$
DECLARE
    t timestamptz := lock_ledger();
    newcomers text[];
BEGIN
    DELETE FROM demand WHERE expires <= t AND coalesce(taken_until <= t, true);
    SELECT array_agg(wanted) INTO newcomers FROM unnest(p_subjects) AS wanted
    WHERE NOT EXISTS (SELECT FROM demand d WHERE d.function = p_function AND d.subject = wanted);
    IF p_purpose = 0 AND newcomers IS NOT NULL THEN
        IF EXISTS (SELECT FROM quotes WHERE symbol = ANY (newcomers) AND source = p_source AND p_function = 'GLOBAL_QUOTE') THEN
            RETURN 'known';
        END IF;
        IF cardinality(newcomers) + (SELECT count(*) FROM demand WHERE purpose = 0) > p_bound THEN
            RETURN 'full';
        END IF;
        IF p_asker IS NOT NULL AND cardinality(newcomers) + (
            SELECT count(*) FROM (
                SELECT subject FROM demand WHERE asker = p_asker AND since > t - interval '1 minute'
                UNION SELECT subjects[1] FROM calls WHERE asker = p_asker AND granted_at > t - interval '1 minute'
            ) AS recent WHERE subject <> ALL (newcomers)
        ) > p_fair THEN
            RETURN 'unfair';
        END IF;
    END IF;
    INSERT INTO demand (function, subject, purpose, since, expires, asker)
    SELECT p_function, wanted, p_purpose, t, t + p_stay, p_asker FROM unnest(p_subjects) AS wanted
    ON CONFLICT (function, subject) DO UPDATE SET
        purpose = least(demand.purpose, excluded.purpose),
        since = CASE WHEN excluded.purpose < demand.purpose THEN excluded.since ELSE demand.since END,
        expires = greatest(demand.expires, excluded.expires);
    RETURN 'joined';
END $$;

CREATE OR REPLACE FUNCTION background_candidates(p_account text, p_now timestamp with time zone, p_clock double precision, p_power double precision, p_half_life interval)
 RETURNS TABLE(symbol text, first boolean, rank double precision, retry_at timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $$
    WITH attempted AS (
        SELECT s.*, p_clock - s.attempted_clock AS age,
            s.attempted_clock IS NULL OR s.account IS DISTINCT FROM p_account OR s.attempted_clock > p_clock + 3600 AS never,
            decayed(s.reads, s.reads_at, p_now, p_half_life) AS reads_now
        FROM symbols s
    ), weighed AS (
        SELECT a.*, greatest(1, a.watchers + a.reads_now) AS weight,
            a.never OR (NOT a.quoted AND a.attempted_at <= p_now - interval '5 minutes') AS first
        FROM attempted a
        WHERE a.watchers > 0 OR a.pinned OR a.reads_now >= 0.5
    )
    SELECT w.symbol, w.first,
        CASE WHEN w.first THEN w.weight ELSE w.weight * CASE p_power WHEN 2 THEN w.age * w.age ELSE power(w.age, p_power) END END,
        CASE WHEN w.failures > 0 AND NOT w.never THEN w.quarantined_until END
    FROM weighed w
    WHERE (w.first OR (p_power > 0 AND w.age > 0))
        AND NOT EXISTS (
            SELECT FROM demand d WHERE d.function = 'GLOBAL_QUOTE' AND d.subject = w.symbol
                AND NOT is_ready(NULL, d.taken_until, p_now)
        )
$$;

CREATE OR REPLACE FUNCTION grant_call(p_account text, p_caller text, p_calls integer[], p_periods interval[], p_lease interval, p_share double precision, p_gap interval, p_clock double precision, p_power double precision, p_half_life interval, p_bulk integer)
 RETURNS TABLE(call bigint, function text, subjects text[], purpose smallint, granted_at timestamp with time zone, asked_at timestamp with time zone, wait interval, reason text)
 LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    t timestamptz := lock_ledger();
    book ledgers%ROWTYPE;
    top demand%ROWTYPE;
    free_at timestamptz;
    due timestamptz;
    background boolean;
    crowded boolean := false;
    retried boolean := false;
    chosen text[];
    chosen_function text;
    granted bigint;
BEGIN
    INSERT INTO ledgers (account) VALUES (p_account) ON CONFLICT DO NOTHING;
    SELECT * INTO book FROM ledgers WHERE account = p_account;
    IF book.held_until > t THEN
        RETURN QUERY SELECT NULL::bigint, NULL, NULL::text[], NULL::smallint, NULL::timestamptz, t, book.held_until - t, book.held_for;
        RETURN;
    END IF;

    -- Slots: of every rule, the n-th newest call must have ended a whole period ago.
    SELECT max(edge.ends_at + rule.period) INTO free_at
    FROM unnest(p_calls, p_periods) AS rule (calls, period)
    CROSS JOIN LATERAL (
        SELECT c.ends_at FROM calls c WHERE c.account = p_account AND c.outcome IS DISTINCT FROM 'unsent'
        ORDER BY c.ends_at DESC OFFSET rule.calls - 1 LIMIT 1
    ) AS edge;
    IF free_at > t THEN
        RETURN QUERY SELECT NULL::bigint, NULL, NULL::text[], NULL::smallint, NULL::timestamptz, t, free_at - t, 'limit';
        RETURN;
    END IF;

    DELETE FROM demand d WHERE d.expires <= t AND coalesce(d.taken_until <= t, true);
    -- A second of backlog is made good, so that jitter does not add up; more would take two slots at once and leave a hole for ever.
    due := greatest(CASE WHEN book.background_at <= t THEN book.background_at END + p_gap, t - least(p_gap, interval '1 second'));
    background := coalesce(due <= t, false) AND coalesce(book.background_held_until <= t, true);
    SELECT * INTO top FROM demand d
    WHERE is_ready(d.ready_at, d.taken_until, t)
    ORDER BY d.purpose, d.since, d.function, d.subject LIMIT 1;

    -- While background is due, interactive and operator calls leave it its share of each rule of a minute or longer.
    IF background AND top.purpose < 2 THEN
        SELECT bool_or(used.n >= greatest(1, floor(p_share * rule.calls))) INTO crowded
        FROM unnest(p_calls, p_periods) AS rule (calls, period)
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM calls c
            WHERE c.account = p_account AND c.outcome IS DISTINCT FROM 'unsent' AND c.purpose < 2 AND c.ends_at > t - rule.period
        ) AS used
        WHERE rule.period >= interval '1 minute';
    END IF;

    IF background AND (top.subject IS NULL OR crowded) THEN
        -- Quarantined symbols together take at most a twentieth of all calls.
        IF book.retry_credit >= 1 AND EXISTS (SELECT FROM symbols WHERE failures > 0 AND quarantined_until <= t) THEN
            SELECT array_agg(c.symbol) INTO chosen FROM (
                SELECT symbol FROM background_candidates(p_account, t, p_clock, p_power, p_half_life)
                WHERE retry_at <= t ORDER BY retry_at, symbol LIMIT 1
            ) AS c;
            retried := chosen IS NOT NULL;
        END IF;
        IF chosen IS NULL THEN
            SELECT array_agg(c.symbol) INTO chosen FROM (
                SELECT symbol FROM background_candidates(p_account, t, p_clock, p_power, p_half_life)
                WHERE retry_at IS NULL ORDER BY first DESC, rank DESC, symbol LIMIT 1
            ) AS c;
        END IF;
    END IF;

    IF chosen IS NOT NULL THEN
        chosen_function := 'GLOBAL_QUOTE';
        top.purpose := 2;
    ELSIF top.subject IS NOT NULL THEN
        chosen := ARRAY[top.subject];
        chosen_function := top.function;
        background := false;
    ELSE
        RETURN QUERY SELECT NULL::bigint, NULL, NULL::text[], NULL::smallint, NULL::timestamptz, t,
            least(CASE WHEN due > t THEN due - t END, (SELECT min(d.ready_at) - t FROM demand d WHERE d.ready_at > t)), 'idle';
        RETURN;
    END IF;

    -- A bulk call has room for more: whoever stands in the line for a quote, then the highest in the background's order.
    IF coalesce(book.bulk_denied_until > t, false) THEN
        p_bulk := 1;
    END IF;
    IF p_bulk > 1 AND chosen_function = 'GLOBAL_QUOTE' AND NOT retried AND chosen[1] !~ '[.:]' THEN
        SELECT chosen || coalesce(array_agg(c.subject), '{}') INTO chosen FROM (
            SELECT d.subject FROM demand d
            WHERE d.function = 'GLOBAL_QUOTE' AND d.subject <> chosen[1] AND d.subject !~ '[.:]'
                AND is_ready(d.ready_at, d.taken_until, t)
            ORDER BY d.purpose, d.since LIMIT p_bulk - 1
        ) AS c;
        SELECT chosen || coalesce(array_agg(c.symbol), '{}') INTO chosen FROM (
            SELECT symbol FROM background_candidates(p_account, t, p_clock, p_power, p_half_life)
            WHERE retry_at IS NULL AND symbol <> ALL (chosen) AND symbol !~ '[.:]'
            ORDER BY first DESC, rank DESC, symbol LIMIT p_bulk - cardinality(chosen)
        ) AS c;
    END IF;

    INSERT INTO calls (account, function, subjects, purpose, granted_at, ends_at, caller, asker)
    VALUES (
        p_account, CASE WHEN cardinality(chosen) > 1 THEN 'REALTIME_BULK_QUOTES' ELSE chosen_function END, chosen,
        top.purpose, t, t + p_lease, p_caller, CASE WHEN top.purpose = 0 THEN top.asker END
    ) RETURNING id INTO granted;
    INSERT INTO demand (function, subject, purpose, since, expires, tries, call, taken_until, clock_before)
    SELECT chosen_function, subject, 2, t, t + p_lease, 1, granted, t + p_lease,
        CASE WHEN s.account = p_account THEN s.attempted_clock END
    FROM unnest(chosen) AS subject LEFT JOIN symbols s ON s.symbol = subject
    ON CONFLICT (function, subject) DO UPDATE SET
        tries = demand.tries + 1, call = excluded.call, taken_until = excluded.taken_until, clock_before = excluded.clock_before;
    IF chosen_function = 'GLOBAL_QUOTE' THEN
        INSERT INTO symbols (symbol, account, attempted_at, attempted_clock)
        SELECT subject, p_account, t, p_clock FROM unnest(chosen) AS subject ORDER BY subject
        ON CONFLICT (symbol) DO UPDATE SET
            account = excluded.account, attempted_at = excluded.attempted_at, attempted_clock = excluded.attempted_clock,
            quoted = symbols.quoted AND symbols.account IS NOT DISTINCT FROM excluded.account,
            failures = CASE WHEN symbols.account = excluded.account THEN symbols.failures ELSE 0 END,
            quarantined_until = CASE WHEN symbols.account = excluded.account THEN symbols.quarantined_until END;
    END IF;
    UPDATE ledgers SET
        held_until = CASE WHEN book.probing THEN t + p_lease END,
        held_for = CASE WHEN book.probing THEN book.held_for END,
        background_at = CASE WHEN background THEN due ELSE background_at END,
        retry_credit = least(retry_credit + 0.05, 1) - CASE WHEN retried THEN 1 ELSE 0 END
    WHERE account = p_account;
    RETURN QUERY SELECT c.id, c.function, c.subjects, c.purpose, c.granted_at, t, NULL::interval, 'granted' FROM calls c WHERE c.id = granted;
END $$;
