-- A constant default: no row is written anew, and an api of the release before goes on without the column.
ALTER TABLE idempotency ADD COLUMN claimant text NOT NULL DEFAULT '';
