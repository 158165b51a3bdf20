-- Whose request took an Idempotency-Key: only it may place more under the key; '' is nobody.

ALTER TABLE idempotency ADD COLUMN claimant TEXT NOT NULL DEFAULT '';
