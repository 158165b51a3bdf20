-- Whose money came in or went out is told to who follows the account, wherever its socket is.
DO $$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'stream_ro') THEN
    GRANT SELECT ON transfers TO stream_ro;
  END IF;
END $$;
