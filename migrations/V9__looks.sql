-- What a look of the monitor found beside its figures, and alerts in the time of the runs that raised them. Only adds.
ALTER TABLE alerts
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS seen_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS resolved_as_of timestamptz;
COMMENT ON COLUMN alerts.as_of IS
    'The instant that the run which raised it took for now; null: raised before there was this column, or by another program.';
COMMENT ON COLUMN alerts.seen_as_of IS
    'The latest instant that a run which saw it took for now.';
COMMENT ON COLUMN alerts.resolved_as_of IS
    'The instant that the run which closed it took for now; null while it is open.';

ALTER TABLE monitoring_runs
    ADD COLUMN IF NOT EXISTS domain jsonb,
    ADD COLUMN IF NOT EXISTS probation jsonb,
    ADD COLUMN IF NOT EXISTS triggers jsonb;
COMMENT ON COLUMN monitoring_runs.domain IS
    'How well a logistic model tells the last days from the reference: its area under the ROC curve, and that of the reference''s own blocks of days.';
COMMENT ON COLUMN monitoring_runs.probation IS
    'Promotions that were watched, and how each stood against what it replaced.';
COMMENT ON COLUMN monitoring_runs.triggers IS
    'Jobs that were wanted, why, and what held them back; null in held: it was started.';

-- The newest verdict of a collect on a series, however many there are.
CREATE INDEX IF NOT EXISTS monitoring_runs_quality
    ON monitoring_runs ((metrics ->> 'pair'), (metrics ->> 'timeframe'), as_of DESC) WHERE verdict LIKE 'data:%';
