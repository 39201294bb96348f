ALTER TABLE demand ADD COLUMN IF NOT EXISTS clock_before double precision;

ALTER TABLE attempts DROP COLUMN IF EXISTS tries;
