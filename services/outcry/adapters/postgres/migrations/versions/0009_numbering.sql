-- A standby that was behind, or a dump, takes the place of a lost server and does not know of the last ids that the
-- lost one gave out: they stand in the journal, and somebody may have been told of them. So the first connection to a
-- server that started at another time than the one that is noted lifts the sequences, by more than any standby is
-- behind; until that is committed no other connection gets past this.
CREATE TABLE numbering (server_start timestamptz NOT NULL);
INSERT INTO numbering VALUES (pg_postmaster_start_time());

-- True where ids were lifted. Runs with the rights of the schema's owner.
CREATE FUNCTION outcry_lift_ids() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  gap CONSTANT bigint := 1000000;
BEGIN
  IF EXISTS (SELECT FROM numbering WHERE server_start = pg_postmaster_start_time()) THEN
    RETURN false;
  END IF;
  UPDATE numbering SET server_start = pg_postmaster_start_time() WHERE server_start <> pg_postmaster_start_time();
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM setval('order_ids', (SELECT last_value FROM order_ids) + gap);
  PERFORM setval('list_ids', (SELECT last_value FROM list_ids) + gap);
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION outcry_lift_ids() FROM PUBLIC;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['api_rw', 'engine_rw', 'stream_ro'] LOOP
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION outcry_lift_ids() TO %I', name);
    END IF;
  END LOOP;
END $$;
