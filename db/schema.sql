-- What the migrations make, for reading: `make schema` writes it, and a test compares. The functions stand in db/functions.

CREATE TYPE choice AS (
	function text,
	subjects text[],
	class text,
	groups text[],
	asker text,
	background boolean
);

CREATE TABLE demand (
    function text NOT NULL,
    subject text NOT NULL,
    since timestamp with time zone NOT NULL,
    expires timestamp with time zone NOT NULL,
    ready_at timestamp with time zone,
    tries smallint DEFAULT 0 NOT NULL,
    call bigint,
    taken_until timestamp with time zone,
    asker text,
    class text NOT NULL,
    groups text[] NOT NULL,
    urgent_at timestamp with time zone,
    joined boolean DEFAULT false NOT NULL,
    CONSTRAINT demand_class CHECK ((class = ANY (ARRAY['refresh'::text, 'user'::text, 'stranger'::text, 'operator'::text])))
);
COMMENT ON COLUMN demand.ready_at IS 'between two tries of a failing call';
COMMENT ON COLUMN demand.urgent_at IS 'from then on it is served before others, or a time that was told would not be kept; null: nobody was told one';
COMMENT ON COLUMN demand.joined IS 'somebody other than asker asked for it, too';

CREATE TABLE ledgers (
    account text NOT NULL,
    held_until timestamp with time zone,
    held_for text,
    probing boolean DEFAULT false NOT NULL,
    background_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    bulk_denied_until timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    closed_at timestamp with time zone,
    last_background text,
    clock double precision DEFAULT 0 NOT NULL,
    weighed_at timestamp with time zone
);
COMMENT ON COLUMN ledgers.probing IS 'after this hold one call alone goes first; the rest wait for its outcome';
COMMENT ON COLUMN ledgers.background_at IS 'when the last background call was due: the next is due a gap later, so that jitter does not add up';
COMMENT ON COLUMN ledgers.failures IS 'calls in a row without an answer';
COMMENT ON COLUMN ledgers.closed_at IS 'when a failing provider closed the gate, or a probe last failed; calls from before say nothing new';
COMMENT ON COLUMN ledgers.last_background IS 'refresh or first: background takes them in turn';
COMMENT ON COLUMN ledgers.clock IS 'the market''s clock at the last grant';
COMMENT ON COLUMN ledgers.weighed_at IS 'when weights that fade were last looked at';

CREATE TABLE calls (
    id bigint NOT NULL,
    account text NOT NULL,
    function text NOT NULL,
    subjects text[] NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    outcome text,
    caller text NOT NULL,
    asker text,
    class text NOT NULL,
    groups text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT calls_class CHECK ((class = ANY (ARRAY['refresh'::text, 'first'::text, 'user'::text, 'stranger'::text, 'operator'::text])))
);
COMMENT ON COLUMN calls.outcome IS 'null: in flight, or never known; unsent: the request was never written, so it counts for nothing';
COMMENT ON COLUMN calls.asker IS 'whose demand it served: user:N, network:HASH, or pins';

CREATE TABLE api_keys (
    id bigint DEFAULT nextval((pg_get_serial_sequence('logins'::text, 'id'::text))::regclass) NOT NULL,
    user_id bigint,
    hash bytea NOT NULL,
    prefix text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    used_at timestamp with time zone,
    ended_at timestamp with time zone
);
COMMENT ON COLUMN api_keys.prefix IS 'the first characters of the key, by which its owner recognises it';
COMMENT ON COLUMN api_keys.ended_at IS 'by clock_timestamp(), as of logins: every process asks twice a second which ended lately';

CREATE TABLE attempts (
    account text NOT NULL,
    symbol text NOT NULL,
    at timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    quarantined_until timestamp with time zone,
    tries smallint DEFAULT 0 NOT NULL
);

CREATE TABLE audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    event text NOT NULL,
    user_id bigint,
    actor text NOT NULL,
    address text,
    subject text,
    request_id text
);
COMMENT ON COLUMN audit.user_id IS 'the account that it is about; null: none, an unknown one, or deleted since';
COMMENT ON COLUMN audit.actor IS 'who did it: user:<id>, cli:<login name>@<host>, or anybody';
ALTER TABLE audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE bars_state (
    source text NOT NULL,
    symbol text NOT NULL,
    fetched_at timestamp with time zone,
    refused_at timestamp with time zone
);
COMMENT ON COLUMN bars_state.fetched_at IS 'the ledger''s time of the last answer that brought bars';
COMMENT ON COLUMN bars_state.refused_at IS 'the ledger''s time of an answer that had none; null once bars have come';
ALTER TABLE calls ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME calls_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE credits (
    asker text NOT NULL,
    symbol text NOT NULL,
    used_at timestamp with time zone NOT NULL
);

CREATE TABLE daily_bars (
    symbol text NOT NULL,
    day date NOT NULL,
    source text NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume bigint
);

CREATE TABLE history_thinning (
    one boolean DEFAULT true NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT history_thinning_one_check CHECK (one)
);

CREATE TABLE listing_state (
    source text NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    rows integer NOT NULL,
    CONSTRAINT listing_state_rows_check CHECK ((rows > 0))
);

CREATE TABLE listings (
    symbol text NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    exchange text NOT NULL,
    asset_type text NOT NULL,
    listed_on date
);

CREATE TABLE logins (
    id bigint NOT NULL,
    user_id bigint,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    seen_at timestamp with time zone,
    address text,
    user_agent text
);
COMMENT ON COLUMN logins.ended_at IS 'by clock_timestamp(): every process asks twice a second which ended lately';
COMMENT ON COLUMN logins.seen_at IS 'when it last got tokens, from this address, by this user agent; null: not since these columns exist';
ALTER TABLE logins ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME logins_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox (
    id bigint NOT NULL,
    kind text NOT NULL,
    content jsonb NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 0 NOT NULL
);
COMMENT ON COLUMN outbox.expires_at IS 'after that it is not sent any more';
COMMENT ON COLUMN outbox.due_at IS 'of the next try; set before each try, so that a mail whose worker died is sent again';
ALTER TABLE outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE password_resets (
    mail_id bigint NOT NULL,
    user_id bigint NOT NULL,
    hash bytea NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
COMMENT ON COLUMN password_resets.mail_id IS 'the row of outbox; a further try of the same mail replaces the token';

CREATE TABLE pulses (
    name text NOT NULL,
    at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN pulses.name IS 'beat, or a worker process as the journal names it';

CREATE TABLE quote_history (
    symbol text NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    source text NOT NULL,
    price numeric NOT NULL,
    volume bigint,
    trading_day date NOT NULL
);

CREATE TABLE quotes (
    symbol text NOT NULL,
    source text NOT NULL,
    price numeric NOT NULL,
    change numeric,
    change_percent numeric,
    volume bigint,
    trading_day date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    previous_close numeric,
    fetched_at timestamp with time zone NOT NULL,
    published_at timestamp with time zone,
    CONSTRAINT quotes_price_check CHECK ((price > (0)::numeric))
);

CREATE TABLE refresh_items (
    job_id bigint NOT NULL,
    symbol text NOT NULL,
    outcome text,
    call bigint,
    settled_at timestamp with time zone
);
COMMENT ON COLUMN refresh_items.outcome IS 'of the call that answered it; null: it stands in the line, or its time there is over';

CREATE TABLE refresh_jobs (
    id bigint NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    queued_by text NOT NULL,
    request_id text
);
COMMENT ON COLUMN refresh_jobs.queued_at IS 'the ledger''s time';
ALTER TABLE refresh_jobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME refresh_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE refresh_tokens (
    hash bytea NOT NULL,
    login_id bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

CREATE TABLE searches (
    source text NOT NULL,
    query text NOT NULL,
    matches jsonb NOT NULL,
    found_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN searches.matches IS 'what the provider found, best first; its numbers as strings';

CREATE TABLE stream_hosts (
    id text NOT NULL,
    seen_at timestamp with time zone NOT NULL
);

CREATE TABLE symbols (
    symbol text NOT NULL,
    watchers integer DEFAULT 0 NOT NULL,
    pinned boolean DEFAULT false NOT NULL,
    reads double precision DEFAULT 0 NOT NULL,
    reads_at timestamp with time zone,
    kept boolean DEFAULT false NOT NULL,
    source text,
    clock double precision DEFAULT 0 NOT NULL,
    level smallint GENERATED ALWAYS AS ((
CASE
    WHEN (watchers > 0) THEN floor((ln(((watchers)::double precision + reads)) / ln((1.5)::double precision)))
    WHEN (reads >= (0.5)::double precision) THEN (floor((ln(GREATEST((1)::double precision, reads)) / ln((1.5)::double precision))) - (1000)::double precision)
    WHEN pinned THEN ('-1002'::integer)::double precision
    ELSE NULL::double precision
END)::smallint) STORED,
    CONSTRAINT symbols_watchers_check CHECK ((watchers >= 0))
);
COMMENT ON COLUMN symbols.reads IS 'reads as they weighed at reads_at; they decay with a half-life';
COMMENT ON COLUMN symbols.kept IS 'pinned by an operator: the list of the overview does not unpin it';
COMMENT ON COLUMN symbols.source IS 'whose quote we have; null: nobody''s';
COMMENT ON COLUMN symbols.clock IS 'the market''s clock (open seconds) that the last answer, or the last try, was of';
COMMENT ON COLUMN symbols.level IS 'the weight on a log scale; from -1002 on: nobody watches it; null: nobody wants it';

CREATE TABLE tickets (
    hash bytea NOT NULL,
    login_id bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    stream integer DEFAULT 0 NOT NULL,
    network text,
    host text,
    left_at timestamp with time zone
);
COMMENT ON COLUMN tickets.stream IS 'how many streams it has opened; 0: it is unused';
COMMENT ON COLUMN tickets.network IS 'of the client that used it first';
COMMENT ON COLUMN tickets.host IS 'the process that serves its stream (stream_hosts)';
COMMENT ON COLUMN tickets.left_at IS 'when its stream ended; null: it is open, while the host is at work';

CREATE TABLE users (
    id bigint NOT NULL,
    username text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    password_scheme text NOT NULL,
    scope text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    locked_at timestamp with time zone,
    watchlist_changed_at timestamp with time zone,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    asleep boolean DEFAULT false NOT NULL,
    firsts_at timestamp with time zone
);
COMMENT ON COLUMN users.locked_at IS 'an operator locked the account: no login, and those that were open have ended';
COMMENT ON COLUMN users.asleep IS 'not seen for 30 days: its list weighs nothing until it comes back';
COMMENT ON COLUMN users.firsts_at IS 'from when on to look for a first quote that its list lacks; null: it lacks none';
ALTER TABLE users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE watchlist_items (
    user_id bigint NOT NULL,
    symbol text NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    "position" integer
);
COMMENT ON COLUMN watchlist_items."position" IS 'where its user put it; null: after all that have one, in the order of adding';
ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (account, symbol);
ALTER TABLE ONLY audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY bars_state
    ADD CONSTRAINT bars_state_pkey PRIMARY KEY (source, symbol);
ALTER TABLE ONLY calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (id);
ALTER TABLE ONLY credits
    ADD CONSTRAINT credits_pkey PRIMARY KEY (asker, symbol);
ALTER TABLE ONLY daily_bars
    ADD CONSTRAINT daily_bars_pkey PRIMARY KEY (source, symbol, day);
ALTER TABLE ONLY demand
    ADD CONSTRAINT demand_pkey PRIMARY KEY (function, subject);
ALTER TABLE ONLY history_thinning
    ADD CONSTRAINT history_thinning_pkey PRIMARY KEY (one);
ALTER TABLE ONLY ledgers
    ADD CONSTRAINT ledgers_pkey PRIMARY KEY (account);
ALTER TABLE ONLY listing_state
    ADD CONSTRAINT listing_state_pkey PRIMARY KEY (source);
ALTER TABLE ONLY listings
    ADD CONSTRAINT listings_pkey PRIMARY KEY (source, symbol);
ALTER TABLE ONLY logins
    ADD CONSTRAINT logins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY password_resets
    ADD CONSTRAINT password_resets_pkey PRIMARY KEY (mail_id);
ALTER TABLE ONLY pulses
    ADD CONSTRAINT pulses_pkey PRIMARY KEY (name);
ALTER TABLE ONLY quote_history
    ADD CONSTRAINT quote_history_pkey PRIMARY KEY (symbol, fetched_at);
ALTER TABLE ONLY quotes
    ADD CONSTRAINT quotes_pkey PRIMARY KEY (symbol);
ALTER TABLE ONLY refresh_items
    ADD CONSTRAINT refresh_items_pkey PRIMARY KEY (job_id, symbol);
ALTER TABLE ONLY refresh_jobs
    ADD CONSTRAINT refresh_jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY searches
    ADD CONSTRAINT searches_pkey PRIMARY KEY (source, query);
ALTER TABLE ONLY stream_hosts
    ADD CONSTRAINT stream_hosts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY symbols
    ADD CONSTRAINT symbols_pkey PRIMARY KEY (symbol);
ALTER TABLE ONLY tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY watchlist_items
    ADD CONSTRAINT watchlist_items_pkey PRIMARY KEY (user_id, symbol);

CREATE INDEX api_keys_ended ON api_keys USING btree (LEAST(ended_at, expires_at)) WHERE (LEAST(ended_at, expires_at) IS NOT NULL);

CREATE UNIQUE INDEX api_keys_hash ON api_keys USING btree (hash);

CREATE INDEX api_keys_open ON api_keys USING btree (user_id) WHERE (ended_at IS NULL);

CREATE INDEX attempts_failing ON attempts USING btree (account, quarantined_until) WHERE (failures > 0);

CREATE INDEX attempts_symbol ON attempts USING btree (symbol);

CREATE INDEX audit_actor ON audit USING btree (actor, id);

CREATE INDEX audit_at ON audit USING btree (at);

CREATE INDEX audit_known ON audit USING btree (user_id, address, at) WHERE (event = ANY (ARRAY['logged_in'::text, 'registered'::text, 'password_changed'::text]));

CREATE INDEX audit_user ON audit USING btree (user_id, event, at);

CREATE INDEX calls_askers ON calls USING btree (asker, granted_at) WHERE (asker IS NOT NULL);

CREATE INDEX calls_granted ON calls USING btree (granted_at);

CREATE INDEX calls_grouped ON calls USING btree (account, ends_at DESC) INCLUDE (groups, outcome) WHERE (groups <> '{}'::text[]);

CREATE INDEX calls_listings ON calls USING btree (account, granted_at) WHERE (function = 'LISTING_STATUS'::text);

CREATE INDEX calls_slots ON calls USING btree (account, ends_at DESC) WHERE (outcome IS DISTINCT FROM 'unsent'::text);

CREATE INDEX credits_symbol ON credits USING btree (symbol);

CREATE INDEX credits_used ON credits USING btree (used_at);

CREATE INDEX demand_calls ON demand USING btree (call) WHERE (call IS NOT NULL);

CREATE INDEX demand_expires ON demand USING btree (expires);

CREATE INDEX demand_order ON demand USING btree (class, since, function, subject);

CREATE INDEX demand_ready ON demand USING btree (ready_at) WHERE (ready_at IS NOT NULL);

CREATE INDEX demand_taken ON demand USING btree (taken_until) WHERE (taken_until IS NOT NULL);

CREATE INDEX logins_ended ON logins USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX logins_open ON logins USING btree (user_id) WHERE (ended_at IS NULL);

CREATE INDEX outbox_due ON outbox USING btree (due_at);

CREATE UNIQUE INDEX password_resets_hash ON password_resets USING btree (hash);

CREATE INDEX password_resets_user ON password_resets USING btree (user_id);

CREATE INDEX quote_history_times ON quote_history USING btree (fetched_at);

CREATE INDEX quotes_unpublished ON quotes USING btree (fetched_at) WHERE (published_at IS NULL);

CREATE INDEX refresh_items_open ON refresh_items USING btree (symbol) WHERE (outcome IS NULL);

CREATE INDEX refresh_tokens_login ON refresh_tokens USING btree (login_id);

CREATE INDEX searches_found ON searches USING btree (found_at);

CREATE INDEX symbols_pinned ON symbols USING btree (symbol) WHERE pinned;

CREATE INDEX symbols_turn ON symbols USING btree (source, level, clock) WHERE (level IS NOT NULL);

CREATE INDEX tickets_login ON tickets USING btree (login_id);

CREATE UNIQUE INDEX users_email ON users USING btree (lower(email));

CREATE INDEX users_firsts ON users USING btree (firsts_at) WHERE (firsts_at IS NOT NULL);

CREATE INDEX users_seen ON users USING btree (seen_at) WHERE (NOT asleep);

CREATE UNIQUE INDEX users_username ON users USING btree (lower(username));

CREATE TRIGGER users_end_keys BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION end_keys_of_deleted();

CREATE TRIGGER users_end_logins BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION end_logins_of_deleted();

CREATE TRIGGER users_forget BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_user();

CREATE TRIGGER users_forget_addresses BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_addresses();

CREATE TRIGGER users_lock_symbols BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION lock_watched_symbols();

CREATE TRIGGER users_sleep AFTER UPDATE OF asleep ON users FOR EACH ROW WHEN ((old.asleep IS DISTINCT FROM new.asleep)) EXECUTE FUNCTION count_sleepers();

CREATE TRIGGER watchlist_items_change_noted AFTER INSERT OR DELETE ON watchlist_items FOR EACH ROW EXECUTE FUNCTION note_watchlist_change();

CREATE TRIGGER watchlist_items_counted AFTER INSERT OR DELETE ON watchlist_items FOR EACH ROW EXECUTE FUNCTION count_watchers();
ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE ONLY attempts
    ADD CONSTRAINT attempts_symbol_fkey FOREIGN KEY (symbol) REFERENCES symbols(symbol) ON DELETE CASCADE;
ALTER TABLE ONLY audit
    ADD CONSTRAINT audit_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE ONLY logins
    ADD CONSTRAINT logins_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE ONLY password_resets
    ADD CONSTRAINT password_resets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY refresh_items
    ADD CONSTRAINT refresh_items_job_id_fkey FOREIGN KEY (job_id) REFERENCES refresh_jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY refresh_tokens
    ADD CONSTRAINT refresh_tokens_login_id_fkey FOREIGN KEY (login_id) REFERENCES logins(id) ON DELETE CASCADE;
ALTER TABLE ONLY tickets
    ADD CONSTRAINT tickets_login_id_fkey FOREIGN KEY (login_id) REFERENCES logins(id) ON DELETE CASCADE;
ALTER TABLE ONLY watchlist_items
    ADD CONSTRAINT watchlist_items_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;


