-- A symbol is as old as the last answer to it, not as the last call for it. Calls in a row that did not bring what they were made for are
-- counted, and background leaves the symbol alone for longer each time.
ALTER TABLE attempts ADD COLUMN IF NOT EXISTS tries smallint NOT NULL DEFAULT 0;

ALTER TABLE demand DROP COLUMN IF EXISTS clock_before;
