-- What recovery put right, so that status and doctor can say it afterwards.
CREATE TABLE IF NOT EXISTS repairs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text NOT NULL,
    what text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE repairs IS 'One row for each thing that a command found broken by a crash and put right.';
COMMENT ON COLUMN repairs.id IS 'Order of the rows.';
COMMENT ON COLUMN repairs.line IS 'Line of models.';
COMMENT ON COLUMN repairs.what IS 'What was done, in words.';
COMMENT ON COLUMN repairs.recorded_at IS 'When, by the database clock.';
CREATE INDEX IF NOT EXISTS repairs_recorded ON repairs (line, recorded_at DESC);
