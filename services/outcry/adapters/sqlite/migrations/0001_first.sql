-- The first schema: one journal, one ledger. Column for column as in outcry.rows.

CREATE TABLE journal (
  place        INTEGER PRIMARY KEY,  -- partition * 2^40 + offset: appends go to the end of their partition's range
  timestamp_ms INTEGER NOT NULL,     -- never decreases within a partition
  weight       INTEGER NOT NULL,     -- bytes of all frames of the partition up to and including this one
  frame        BLOB NOT NULL
) STRICT;

CREATE TABLE engine_partition (
  part          INTEGER PRIMARY KEY,
  next_offset   INTEGER NOT NULL DEFAULT 0,  -- first record not yet applied
  epoch         INTEGER NOT NULL DEFAULT 0,  -- fencing token, +1 per takeover and per hand-over
  log_time      INTEGER NOT NULL DEFAULT 0,
  rules_version INTEGER NOT NULL DEFAULT 1,
  event_seq     INTEGER NOT NULL DEFAULT 0,
  state_hash    INTEGER NOT NULL DEFAULT 0,
  log_hash      BLOB NOT NULL DEFAULT x'',
  tail_hash     BLOB NOT NULL DEFAULT x'',
  status        TEXT NOT NULL DEFAULT 'RUN' CHECK (status IN ('RUN', 'HALT')),
  halt_reason   TEXT,
  owner         TEXT,                        -- 'pod/incarnation'; a bare 'pod' while reserved for it
  lease_until   INTEGER NOT NULL DEFAULT 0   -- liveness only, never safety
) STRICT;

CREATE TABLE symbol_state (
  symbol_id     INTEGER PRIMARY KEY,
  part          INTEGER NOT NULL,
  trade_seq     INTEGER NOT NULL,
  agg_seq       INTEGER NOT NULL,
  update_id     INTEGER NOT NULL,
  public_seq    INTEGER NOT NULL,
  priority_seq  INTEGER NOT NULL,
  prevented_seq INTEGER NOT NULL,
  last_price    INTEGER NOT NULL,
  instrument    BLOB NOT NULL,
  state         BLOB NOT NULL
) STRICT;

CREATE TABLE orders (
  order_id        INTEGER PRIMARY KEY,
  part            INTEGER NOT NULL,
  symbol_id       INTEGER NOT NULL,
  account_id      INTEGER NOT NULL,
  client_order_id TEXT NOT NULL,
  side            INTEGER NOT NULL,
  type            INTEGER NOT NULL,
  tif             INTEGER NOT NULL,
  price           INTEGER NOT NULL,
  qty             INTEGER NOT NULL,
  quote_qty       INTEGER NOT NULL,
  stop_price      INTEGER NOT NULL,
  trail_bps       INTEGER NOT NULL,
  iceberg_qty     INTEGER NOT NULL,
  stp             INTEGER NOT NULL,
  status          INTEGER NOT NULL,
  executed        INTEGER NOT NULL,
  cum_quote       INTEGER NOT NULL,
  held            INTEGER NOT NULL CHECK (held >= 0),
  visible         INTEGER NOT NULL,
  prevented       INTEGER NOT NULL,
  stage           INTEGER NOT NULL,
  trail_ref       INTEGER NOT NULL,
  priority_seq    INTEGER NOT NULL,
  list_id         INTEGER NOT NULL,
  maker_ppm       INTEGER NOT NULL,
  taker_ppm       INTEGER NOT NULL,
  strategy_id     INTEGER NOT NULL,
  strategy_type   INTEGER NOT NULL,
  placed_ms       INTEGER NOT NULL,
  updated_ms      INTEGER NOT NULL,
  working_ms      INTEGER NOT NULL,
  applied_offset  INTEGER NOT NULL,
  code            INTEGER NOT NULL,
  text            TEXT NOT NULL,
  open            INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_of_account ON orders (account_id, symbol_id, order_id);
-- Names are random, so an index by name alone would touch a page per order for ever. This one is written in
-- chapters of 4096 orders; a name is looked up chapter by chapter from the newest on.
CREATE INDEX orders_by_name ON orders (order_id >> 12, account_id, client_order_id);
-- Serves an account's open orders, and with ``part`` in it also the loading of a partition.
CREATE INDEX orders_open ON orders (account_id, symbol_id, part) WHERE open = 1;
CREATE INDEX orders_of_list ON orders (list_id) WHERE list_id >= 0;

CREATE TABLE trades (
  symbol_id     INTEGER NOT NULL,
  trade_id      INTEGER NOT NULL,
  agg_id        INTEGER NOT NULL,
  part          INTEGER NOT NULL,
  log_offset    INTEGER NOT NULL,
  idx           INTEGER NOT NULL,
  time_ms       INTEGER NOT NULL,
  price         INTEGER NOT NULL,
  qty           INTEGER NOT NULL,
  amount        INTEGER NOT NULL,
  taker_side    INTEGER NOT NULL,
  maker_order   INTEGER NOT NULL,
  taker_order   INTEGER NOT NULL,
  maker_account INTEGER NOT NULL,
  taker_account INTEGER NOT NULL,
  maker_fee     INTEGER NOT NULL,
  taker_fee     INTEGER NOT NULL,
  PRIMARY KEY (symbol_id, trade_id)
) STRICT, WITHOUT ROWID;
-- Ids, times and offsets of a symbol's trades grow together, so times and offsets need no index: they are
-- found by bisection over the trade id. The order in each index answers "fills of one order" from the index.
CREATE INDEX trades_of_maker ON trades (maker_account, symbol_id, trade_id, maker_order);
CREATE INDEX trades_of_taker ON trades (taker_account, symbol_id, trade_id, taker_order);

CREATE TABLE postings (
  part        INTEGER NOT NULL,
  log_offset  INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  account_id  INTEGER NOT NULL,
  asset_id    INTEGER NOT NULL,
  free_delta  INTEGER NOT NULL,
  held_delta  INTEGER NOT NULL,
  symbol_id   INTEGER NOT NULL,
  trade_id    INTEGER NOT NULL,
  PRIMARY KEY (part, log_offset, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE folded (  -- postings before log_offset are in balances
  part       INTEGER PRIMARY KEY,
  log_offset INTEGER NOT NULL
) STRICT;

CREATE TABLE balances (  -- only the world, account 0, may owe: it is the other side of every deposit
  account_id INTEGER NOT NULL,
  asset_id   INTEGER NOT NULL,
  free       INTEGER NOT NULL CHECK (free >= 0 OR account_id = 0),
  held       INTEGER NOT NULL CHECK (held >= 0),
  PRIMARY KEY (account_id, asset_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE intake (
  order_id        INTEGER PRIMARY KEY,
  part            INTEGER NOT NULL,
  account_id      INTEGER NOT NULL,
  symbol_id       INTEGER NOT NULL,
  asset_id        INTEGER NOT NULL,
  held            INTEGER NOT NULL CHECK (held >= 0),
  client_order_id TEXT NOT NULL,
  body            BLOB NOT NULL,
  intake_ms       INTEGER NOT NULL,
  valid_until_ms  INTEGER NOT NULL,
  applied_offset  INTEGER,  -- NULL: no outcome yet, -1: voided
  cancel_offset   INTEGER,
  list_id         INTEGER NOT NULL,
  open            INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX intake_open ON intake (account_id, symbol_id, client_order_id) WHERE open = 1;
CREATE INDEX intake_unapplied ON intake (part, valid_until_ms) WHERE applied_offset IS NULL;
CREATE INDEX intake_closed ON intake (part, valid_until_ms) WHERE open = 0;

CREATE TABLE idempotency (
  account_id     INTEGER NOT NULL,
  key            TEXT NOT NULL,
  payload_sha256 BLOB NOT NULL,
  order_ids      TEXT NOT NULL,  -- JSON list, in the order of the requests
  response       BLOB,           -- NULL: in progress
  expires_ms     INTEGER NOT NULL,
  PRIMARY KEY (account_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_ms);

CREATE TABLE counters (  -- highest ids ever given out, as far as rows no longer show them
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE candles (
  symbol_id        INTEGER NOT NULL,
  interval_ms      INTEGER NOT NULL,
  open_ms          INTEGER NOT NULL,
  open             INTEGER NOT NULL,
  high             INTEGER NOT NULL,
  low              INTEGER NOT NULL,
  close            INTEGER NOT NULL,
  volume           INTEGER NOT NULL,
  amount           INTEGER NOT NULL,
  trades           INTEGER NOT NULL,
  taker_buy_volume INTEGER NOT NULL,
  taker_buy_amount INTEGER NOT NULL,
  first_trade      INTEGER NOT NULL,
  last_trade       INTEGER NOT NULL,
  PRIMARY KEY (symbol_id, interval_ms, open_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE lists (
  list_id        INTEGER PRIMARY KEY,
  part           INTEGER NOT NULL,
  symbol_id      INTEGER NOT NULL,
  account_id     INTEGER NOT NULL,
  client_list_id TEXT NOT NULL,
  above_id       INTEGER NOT NULL,
  below_id       INTEGER NOT NULL,
  status         TEXT NOT NULL,
  placed_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX lists_of_account ON lists (account_id, list_id);
CREATE INDEX lists_by_client_id ON lists (account_id, client_list_id);
CREATE INDEX lists_running ON lists (part) WHERE status <> 'ALL_DONE';

CREATE TABLE prevented (
  symbol_id       INTEGER NOT NULL,
  prevented_id    INTEGER NOT NULL,
  part            INTEGER NOT NULL,
  log_offset      INTEGER NOT NULL,
  account_id      INTEGER NOT NULL,
  maker_order     INTEGER NOT NULL,
  taker_order     INTEGER NOT NULL,
  price           INTEGER NOT NULL,
  maker_prevented INTEGER NOT NULL,
  taker_prevented INTEGER NOT NULL,
  mode            INTEGER NOT NULL,
  time_ms         INTEGER NOT NULL,
  PRIMARY KEY (symbol_id, prevented_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX prevented_of_account ON prevented (account_id, symbol_id, prevented_id);

CREATE TABLE dead_letter (
  part       INTEGER NOT NULL,
  log_offset INTEGER NOT NULL,
  reason     TEXT NOT NULL,
  record     BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letter_place ON dead_letter (part, log_offset);

CREATE TABLE engine_skip (
  part        INTEGER NOT NULL,
  log_offset  INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  approved_by TEXT NOT NULL,
  PRIMARY KEY (part, log_offset, idx)
) STRICT;

CREATE TABLE checkpoints (
  part        INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  log_time    INTEGER NOT NULL,
  event_seq   INTEGER NOT NULL,
  state_hash  INTEGER NOT NULL,
  log_hash    BLOB NOT NULL,
  state       BLOB NOT NULL,
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (part, next_offset)
) STRICT;

CREATE TABLE accounts (
  account_id INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  maker_ppm  INTEGER NOT NULL,
  taker_ppm  INTEGER NOT NULL,
  frozen     INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
  api_key    TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('HMAC', 'ED25519')),
  secret     BLOB NOT NULL,
  scopes     TEXT NOT NULL,
  ip_list    TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_of_account ON api_keys (account_id);

CREATE TABLE assets (
  asset_id INTEGER PRIMARY KEY,
  asset    TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE transfers (
  transfer_id INTEGER PRIMARY KEY,
  time_ms     INTEGER NOT NULL,
  account_id  INTEGER NOT NULL,
  asset_id    INTEGER NOT NULL,
  amount      INTEGER NOT NULL,  -- minor units; a withdrawal is negative
  reference   TEXT NOT NULL UNIQUE,
  actor       TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY,
  time_ms  INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  subject  TEXT NOT NULL,
  detail   TEXT NOT NULL
) STRICT;
