-- Everybody looks at the version of the schema; an api notes the topic's id, and halts what was applied from another one.
DO $$
DECLARE
  grants CONSTANT text[][] := ARRAY[
    ['api_rw', 'SELECT ON alembic_version'],
    ['api_rw', 'INSERT (topic, part, topic_id), UPDATE (topic_id, status, halt_reason) ON engine_partition'],
    ['engine_rw', 'SELECT ON alembic_version'],
    ['stream_ro', 'SELECT ON alembic_version']];
  entry text[];
BEGIN
  FOREACH entry SLICE 1 IN ARRAY grants LOOP
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = entry[1]) THEN
      EXECUTE format('GRANT %s TO %I', entry[2], entry[1]);
    END IF;
  END LOOP;
END $$;
