-- The first schema of the cluster's ledger: column for column as in outcry.rows, and what several processes need
-- beside it. Prices are ticks, sizes lots, money minor units, times integer milliseconds, flags 1 or 0.

-- The only place that asks for the time: intake, leases and voids agree on the database's clock.
CREATE FUNCTION outcry_now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS
  $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE SEQUENCE order_ids;
CREATE SEQUENCE list_ids;

CREATE TABLE engine_partition (  -- one row per partition; the only fence in the system
  topic         text NOT NULL,
  part          int NOT NULL,
  topic_id      uuid,                        -- Kafka's own id of the topic: shows delete + re-create; NULL: not seen yet
  next_offset   bigint NOT NULL DEFAULT 0,   -- first record not yet applied
  epoch         bigint NOT NULL DEFAULT 0,   -- fencing token, +1 per takeover and per planned hand-over
  log_time      bigint NOT NULL DEFAULT 0,
  rules_version int NOT NULL DEFAULT 1,
  event_seq     bigint NOT NULL DEFAULT 0,
  state_hash    bigint NOT NULL DEFAULT 0,
  log_hash      bytea NOT NULL DEFAULT '\x',
  tail_hash     bytea NOT NULL DEFAULT '\x',
  status        text NOT NULL DEFAULT 'RUN' CHECK (status IN ('RUN', 'HALT')),
  halt_reason   text,
  owner         text,                        -- 'pod/incarnation'; a bare 'pod' while reserved for it
  owner_pid     int,                         -- the owner's backend: whom to end when it hangs with the row locked
  owner_start   timestamptz,                 -- and when that backend began, so that a reused pid harms nobody
  lease_until   bigint NOT NULL DEFAULT 0,   -- liveness only, never safety
  PRIMARY KEY (topic, part)
) WITH (fillfactor = 50);

CREATE TABLE engine_member (  -- who shares the partitions; renewed every third of a lease, valid for one lease
  owner      text PRIMARY KEY,
  pod        text NOT NULL,
  claim      text NOT NULL CHECK (claim IN ('share', 'reserved')),
  draining   boolean NOT NULL,
  seen_until bigint NOT NULL
);

CREATE TABLE engine_feed (  -- each partition's encoded publications of the last 60 s, for a feed that lost some
  part        int NOT NULL,
  from_offset bigint NOT NULL,
  to_offset   bigint NOT NULL,
  created     bigint NOT NULL,
  payload     bytea NOT NULL
);
CREATE INDEX engine_feed_place ON engine_feed (part, to_offset);
CREATE INDEX engine_feed_age ON engine_feed (created);

CREATE TABLE account_feed (  -- the last private event of an account on a partition; numbers are dense
  part       int NOT NULL,
  account_id bigint NOT NULL,
  seq        bigint NOT NULL,
  PRIMARY KEY (account_id, part)
) WITH (fillfactor = 70);

CREATE TABLE symbol_state (
  symbol_id     int PRIMARY KEY,
  part          int NOT NULL,
  trade_seq     bigint NOT NULL,
  agg_seq       bigint NOT NULL,
  update_id     bigint NOT NULL,
  public_seq    bigint NOT NULL,
  priority_seq  bigint NOT NULL,
  prevented_seq bigint NOT NULL,
  last_price    bigint NOT NULL,
  instrument    bytea NOT NULL,
  state         bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE orders (
  order_id        bigint PRIMARY KEY,
  part            int NOT NULL,
  symbol_id       int NOT NULL,
  account_id      bigint NOT NULL,
  client_order_id text NOT NULL,
  side            smallint NOT NULL,
  type            smallint NOT NULL,
  tif             smallint NOT NULL,
  price           bigint NOT NULL,
  qty             bigint NOT NULL,
  quote_qty       bigint NOT NULL,
  stop_price      bigint NOT NULL,
  trail_bps       int NOT NULL,
  iceberg_qty     bigint NOT NULL,
  stp             smallint NOT NULL,
  status          smallint NOT NULL,
  executed        bigint NOT NULL,
  cum_quote       bigint NOT NULL,
  held            bigint NOT NULL CHECK (held >= 0),
  visible         bigint NOT NULL,
  prevented       bigint NOT NULL,
  stage           smallint NOT NULL,
  trail_ref       bigint NOT NULL,
  priority_seq    bigint NOT NULL,
  list_id         bigint NOT NULL,
  maker_ppm       int NOT NULL,
  taker_ppm       int NOT NULL,
  strategy_id     bigint NOT NULL,
  strategy_type   bigint NOT NULL,
  placed_ms       bigint NOT NULL,
  updated_ms      bigint NOT NULL,
  working_ms      bigint NOT NULL,
  applied_offset  bigint NOT NULL,
  code            int NOT NULL,
  text            text NOT NULL,
  open            smallint NOT NULL,
  changed_before  bigint NOT NULL  -- the record that changed it last lies before this offset: retention asks
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX orders_of_account ON orders (account_id, symbol_id, order_id);
-- Down to the id, for a name may be used again and again, and the newest order of that name is wanted.
CREATE INDEX orders_by_name ON orders (client_order_id, account_id, symbol_id, order_id);
CREATE INDEX orders_open ON orders (part, symbol_id, priority_seq) WHERE open = 1;
CREATE INDEX orders_of_list ON orders (list_id) WHERE list_id >= 0;

CREATE TABLE trades (
  symbol_id     int NOT NULL,
  trade_id      bigint NOT NULL,
  agg_id        bigint NOT NULL,
  part          int NOT NULL,
  log_offset    bigint NOT NULL,
  idx           int NOT NULL,
  time_ms       bigint NOT NULL,
  price         bigint NOT NULL,
  qty           bigint NOT NULL,
  amount        bigint NOT NULL,
  taker_side    smallint NOT NULL,
  maker_order   bigint NOT NULL,
  taker_order   bigint NOT NULL,
  maker_account bigint NOT NULL,
  taker_account bigint NOT NULL,
  maker_fee     bigint NOT NULL,
  taker_fee     bigint NOT NULL,
  UNIQUE (symbol_id, trade_id, time_ms)
) PARTITION BY RANGE (time_ms);
CREATE INDEX trades_of_maker ON trades (maker_account, symbol_id, trade_id, maker_order);
CREATE INDEX trades_of_taker ON trades (taker_account, symbol_id, trade_id, taker_order);
CREATE INDEX trades_by_time ON trades USING brin (time_ms) WITH (pages_per_range = 16);

CREATE TABLE postings (
  part       int NOT NULL,
  log_offset bigint NOT NULL,
  idx        int NOT NULL,
  account_id bigint NOT NULL,
  asset_id   int NOT NULL,
  free_delta bigint NOT NULL,
  held_delta bigint NOT NULL,
  symbol_id  int NOT NULL,
  trade_id   bigint NOT NULL,
  time_ms    bigint NOT NULL  -- log time of the batch that wrote it
) PARTITION BY RANGE (time_ms);
-- Not unique, so that it stays small (a record has many postings): the compare-and-set lets no record in twice.
CREATE INDEX postings_by_place ON postings (part, log_offset);
CREATE INDEX postings_of_account ON postings (account_id, part, log_offset);
CREATE INDEX postings_by_time ON postings USING brin (time_ms) WITH (pages_per_range = 16);

CREATE TABLE folded (  -- postings before log_offset are in balances
  part       int PRIMARY KEY,
  log_offset bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE retained (  -- what retention was last allowed to delete: postings before offset and time
  part        int PRIMARY KEY,
  keep_offset bigint NOT NULL,
  before_ms   bigint NOT NULL
);

CREATE TABLE balances (  -- only the world, account 0, may owe: it is the other side of every deposit
  account_id bigint NOT NULL,
  asset_id   int NOT NULL,
  free       bigint NOT NULL,
  held       bigint NOT NULL,
  PRIMARY KEY (account_id, asset_id),
  CHECK ((free >= 0 OR account_id = 0) AND held >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE intake (
  order_id        bigint PRIMARY KEY,
  part            int NOT NULL,
  account_id      bigint NOT NULL,
  symbol_id       int NOT NULL,
  asset_id        int NOT NULL,
  held            bigint NOT NULL CHECK (held >= 0),
  client_order_id text NOT NULL,
  body            bytea NOT NULL,
  intake_ms       bigint NOT NULL,
  valid_until_ms  bigint NOT NULL,
  applied_offset  bigint,  -- NULL: no outcome yet, -1: voided
  cancel_offset   bigint,
  list_id         bigint NOT NULL,
  open            smallint NOT NULL
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX intake_open ON intake (account_id, symbol_id, client_order_id) WHERE open = 1;
CREATE INDEX intake_unapplied ON intake (part, valid_until_ms) WHERE applied_offset IS NULL;
CREATE INDEX intake_closed ON intake (part, valid_until_ms) WHERE open = 0;
-- For the dedupe window of a load. An index of its own that is exact would cost a tenth of each engine transaction.
CREATE INDEX intake_by_bound ON intake USING brin (valid_until_ms) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE idempotency (
  account_id     bigint NOT NULL,
  key            text NOT NULL,
  payload_sha256 bytea NOT NULL,
  order_ids      bigint[] NOT NULL,  -- in the order of the requests
  response       bytea,              -- NULL: in progress
  expires_ms     bigint NOT NULL,
  PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_ms);

CREATE TABLE candles (
  symbol_id        int NOT NULL,
  interval_ms      bigint NOT NULL,
  open_ms          bigint NOT NULL,
  open             bigint NOT NULL,
  high             bigint NOT NULL,
  low              bigint NOT NULL,
  close            bigint NOT NULL,
  volume           bigint NOT NULL,
  amount           bigint NOT NULL,
  trades           bigint NOT NULL,
  taker_buy_volume bigint NOT NULL,
  taker_buy_amount bigint NOT NULL,
  first_trade      bigint NOT NULL,
  last_trade       bigint NOT NULL,
  PRIMARY KEY (symbol_id, interval_ms, open_ms)
) WITH (fillfactor = 80);

CREATE TABLE lists (
  list_id        bigint PRIMARY KEY,
  part           int NOT NULL,
  symbol_id      int NOT NULL,
  account_id     bigint NOT NULL,
  client_list_id text NOT NULL,
  above_id       bigint NOT NULL,
  below_id       bigint NOT NULL,
  status         text NOT NULL,
  placed_ms      bigint NOT NULL
);
CREATE INDEX lists_of_account ON lists (account_id, list_id);
CREATE INDEX lists_by_client_id ON lists (account_id, client_list_id, list_id);
CREATE INDEX lists_open ON lists (account_id, list_id) WHERE status <> 'ALL_DONE';
CREATE INDEX lists_running ON lists (part) WHERE status <> 'ALL_DONE';

CREATE TABLE prevented (
  symbol_id       int NOT NULL,
  prevented_id    bigint NOT NULL,
  part            int NOT NULL,
  log_offset      bigint NOT NULL,
  account_id      bigint NOT NULL,
  maker_order     bigint NOT NULL,
  taker_order     bigint NOT NULL,
  price           bigint NOT NULL,
  maker_prevented bigint NOT NULL,
  taker_prevented bigint NOT NULL,
  mode            smallint NOT NULL,
  time_ms         bigint NOT NULL,
  PRIMARY KEY (symbol_id, prevented_id)
);
CREATE INDEX prevented_of_account ON prevented (account_id, symbol_id, prevented_id);
CREATE INDEX prevented_of_maker ON prevented (maker_order, prevented_id);
CREATE INDEX prevented_of_taker ON prevented (taker_order, prevented_id);
CREATE INDEX prevented_by_place ON prevented (part, log_offset);

CREATE TABLE amendments (
  part                int NOT NULL,
  execution_id        bigint NOT NULL,
  log_offset          bigint NOT NULL,
  symbol_id           int NOT NULL,
  account_id          bigint NOT NULL,
  order_id            bigint NOT NULL,
  old_client_order_id text NOT NULL,
  new_client_order_id text NOT NULL,
  old_qty             bigint NOT NULL,
  new_qty             bigint NOT NULL,
  time_ms             bigint NOT NULL,
  PRIMARY KEY (part, log_offset, execution_id)
);
CREATE INDEX amendments_of_order ON amendments (order_id, execution_id);

CREATE TABLE openings (  -- what an account's trades of a symbol had come to when retention deleted them
  account_id bigint NOT NULL,
  symbol_id  int NOT NULL,
  next_trade bigint NOT NULL,   -- the account's trades before this id are in the row, and gone
  qty        numeric NOT NULL,  -- whole numbers: sums over years may outgrow 64 bits
  cost       numeric NOT NULL,
  realised   numeric NOT NULL,
  base_fees  numeric NOT NULL,
  quote_fees numeric NOT NULL,
  fills      bigint NOT NULL,
  since_ms   bigint NOT NULL,
  PRIMARY KEY (account_id, symbol_id)
);

CREATE TABLE dead_letter (
  part       int NOT NULL,
  log_offset bigint NOT NULL,
  reason     text NOT NULL,
  record     bytea NOT NULL,
  letter_id  bigint NOT NULL GENERATED ALWAYS AS IDENTITY  -- a frame's bad commands stay in their order
);
CREATE INDEX dead_letter_place ON dead_letter (part, log_offset);

CREATE TABLE engine_skip (
  part        int NOT NULL,
  log_offset  bigint NOT NULL,
  idx         int NOT NULL,
  reason      text NOT NULL,
  approved_by text NOT NULL,
  PRIMARY KEY (part, log_offset, idx)
);

CREATE TABLE checkpoints (
  part        int NOT NULL,
  next_offset bigint NOT NULL,
  log_time    bigint NOT NULL,
  event_seq   bigint NOT NULL,
  state_hash  bigint NOT NULL,
  log_hash    bytea NOT NULL,
  state       bytea NOT NULL,
  created_ms  bigint NOT NULL,
  PRIMARY KEY (part, next_offset)
);

CREATE TABLE accounts (
  account_id bigint PRIMARY KEY,
  name       text NOT NULL,
  maker_ppm  int NOT NULL,
  taker_ppm  int NOT NULL,
  frozen     smallint NOT NULL,
  created_ms bigint NOT NULL
);

CREATE TABLE api_keys (
  api_key    text PRIMARY KEY,
  account_id bigint NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('HMAC', 'ED25519')),
  secret     bytea NOT NULL,
  scopes     text NOT NULL,
  ip_list    text NOT NULL,
  created_ms bigint NOT NULL,
  expires_ms bigint NOT NULL,
  revoked_ms bigint NOT NULL
);
CREATE INDEX api_keys_of_account ON api_keys (account_id);

CREATE TABLE assets (
  asset_id int PRIMARY KEY,
  asset    text NOT NULL UNIQUE
);

CREATE TABLE transfers (
  transfer_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  time_ms     bigint NOT NULL,
  account_id  bigint NOT NULL,
  asset_id    int NOT NULL,
  amount      bigint NOT NULL,  -- minor units; a withdrawal is negative
  reference   text NOT NULL UNIQUE,
  actor       text NOT NULL
);

CREATE TABLE audit (
  audit_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  time_ms  bigint NOT NULL,
  actor    text NOT NULL,
  action   text NOT NULL,
  subject  text NOT NULL,
  detail   text NOT NULL
);

-- Makes the day tables of trades and postings from a time on. A day is made beside its parent and attached then, for
-- that lock lets readers and writers go on. Runs with the rights of the schema's owner: engines may call it.
CREATE FUNCTION outcry_make_days(since_ms bigint, days int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  day_ms CONSTANT bigint := 86400000;
  first bigint; parent text; leaf text; n int;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('outcry days'));
  FOR n IN 0 .. days - 1 LOOP
    first := (since_ms / day_ms + n) * day_ms;
    FOREACH parent IN ARRAY ARRAY['trades', 'postings'] LOOP
      leaf := parent || to_char(to_timestamp(first / 1000) AT TIME ZONE 'UTC', '"_"YYYYMMDD');
      CONTINUE WHEN to_regclass(leaf) IS NOT NULL;
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, leaf, first, first + day_ms);
    END LOOP;
  END LOOP;
END $$;

-- Drops a day of trades or postings that no partition needs any more. Trades are counted into positions and deleted
-- first, so their day must be empty; postings must be old enough, folded, and before what a replay starts from; and no
-- partition may still be in that day. False: it is needed. Detaching waits for everyone who reads the table, so it gives
-- up after a moment and is asked again later.
CREATE FUNCTION outcry_drop_day(parent text, day_ms bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  leaf text := parent || to_char(to_timestamp(day_ms / 1000) AT TIME ZONE 'UTC', '"_"YYYYMMDD');
  is_needed text := CASE parent WHEN 'trades' THEN 'SELECT EXISTS (SELECT FROM %I) OR $1 IS NULL'
    WHEN 'postings' THEN
      'SELECT EXISTS (
         SELECT FROM engine_partition e LEFT JOIN retained r USING (part) LEFT JOIN folded f USING (part),
                LATERAL (SELECT max(log_offset) AS last FROM %I p WHERE p.part = e.part) AS kept
          WHERE kept.last >= least(coalesce(r.keep_offset, 0), coalesce(f.log_offset, 0))
             OR kept.last IS NOT NULL AND r.before_ms < $1)' END;
  needed boolean;
BEGIN
  IF is_needed IS NULL OR to_regclass(leaf) IS NULL
     OR EXISTS (SELECT FROM engine_partition WHERE log_time < day_ms + 86400000) THEN
    RETURN false;
  END IF;
  EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', leaf);
  EXECUTE format(is_needed, leaf) INTO needed USING day_ms + 86400000;
  IF needed THEN
    RETURN false;
  END IF;
  EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, leaf);
  EXECUTE format('DROP TABLE %I', leaf);
  RETURN true;
END $$;
