-- Whoever was told when to come back is served by then, whoever joins later: from this time on the request goes before others.
ALTER TABLE demand ADD COLUMN IF NOT EXISTS urgent_at timestamptz;
COMMENT ON COLUMN demand.urgent_at IS 'from then on it is served before others, or a time that was told would not be kept; null: nobody was told one';
