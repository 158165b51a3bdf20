-- Least privilege. The roles are groups without login: a deployment makes its logins members of them. They are shared
-- by all databases of a server, so they may exist already; who may not create roles works with the owner's rights.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['api_rw', 'engine_rw', 'stream_ro', 'migrator'] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration came first
        WHEN insufficient_privilege THEN
          RAISE NOTICE 'role % does not exist and may not be created', name;
      END;
    END IF;
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION outcry_make_days(bigint, int), outcry_drop_day(text, bigint) FROM PUBLIC;

DO $$
DECLARE
  grants CONSTANT text[][] := ARRAY[
    ['api_rw', 'USAGE ON SCHEMA public'],
    ['api_rw', 'SELECT ON ALL TABLES IN SCHEMA public'],
    ['api_rw', 'USAGE ON SEQUENCE order_ids, list_ids'],
    ['api_rw', 'INSERT, UPDATE, DELETE ON intake, idempotency, balances, folded, retained, accounts, api_keys, assets'],
    ['api_rw', 'INSERT ON transfers, audit, candles, engine_skip'],
    ['api_rw', 'INSERT, UPDATE, DELETE ON openings, checkpoints'],
    -- The keeper: voided orders are written, old rows deleted; no trade and no posting is ever written or changed.
    ['api_rw', 'INSERT, DELETE ON orders'],
    ['api_rw', 'DELETE ON lists, trades, postings, prevented, amendments, engine_feed, dead_letter'],
    ['api_rw', 'EXECUTE ON FUNCTION outcry_make_days(bigint, int), outcry_drop_day(text, bigint)'],
    ['engine_rw', 'USAGE ON SCHEMA public'],
    ['engine_rw', 'SELECT ON ALL TABLES IN SCHEMA public'],
    ['engine_rw', 'INSERT, UPDATE, DELETE ON engine_partition, engine_member, engine_feed, account_feed, symbol_state'],
    ['engine_rw', 'INSERT, UPDATE ON orders, lists, candles'],
    ['engine_rw', 'INSERT ON trades, postings, prevented, amendments, dead_letter, audit, engine_skip'],
    ['engine_rw', 'UPDATE ON intake'],
    ['engine_rw', 'INSERT, UPDATE, DELETE ON checkpoints'],
    ['engine_rw', 'EXECUTE ON FUNCTION outcry_make_days(bigint, int)'],
    ['stream_ro', 'USAGE ON SCHEMA public'],
    ['stream_ro', 'SELECT ON engine_partition, engine_member, engine_feed, account_feed, symbol_state, assets, accounts'],
    ['stream_ro', 'SELECT ON orders, trades, lists, prevented, amendments, candles, balances, postings, folded, api_keys'],
    ['migrator', 'USAGE, CREATE ON SCHEMA public']];
  entry text[];
BEGIN
  FOREACH entry SLICE 1 IN ARRAY grants LOOP
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = entry[1]) THEN
      EXECUTE format('GRANT %s TO %I', entry[2], entry[1]);
    END IF;
  END LOOP;
END $$;
