-- What an operator asks in psql: which version answers, what ran last, what should have run, what drifts. And a comment on
-- everything that had none.
--
-- Only adds; a view is written anew. The views read what the tables say and judge nothing: aifx never reads them.

CREATE OR REPLACE VIEW v_production AS
SELECT v.line,
       v.version,
       v.created_at AS made_at,
       now() - v.created_at AS age,
       v.seen_until,
       m.as_of AS promoted_at,
       m.actor AS promoted_by,
       m.reason,
       m.forced,
       m.from_version AS replaced,
       v.metrics #>> '{test,accuracy}' AS test_accuracy,
       v.production_metrics,
       v.missing_since
  FROM model_versions v
  LEFT JOIN LATERAL (
       SELECT p.as_of, p.actor, p.reason, p.forced, p.from_version
         FROM model_promotions p
        WHERE p.line = v.line AND p.to_version = v.version
        ORDER BY p.fence DESC NULLS LAST, p.id DESC
        LIMIT 1) m ON true
 WHERE v.status = 'production';
COMMENT ON VIEW v_production IS 'The version of each line that answers.';
COMMENT ON COLUMN v_production.line IS 'Line of models.';
COMMENT ON COLUMN v_production.version IS 'The version that answers.';
COMMENT ON COLUMN v_production.made_at IS 'The instant that its run took for now.';
COMMENT ON COLUMN v_production.age IS 'From then to the database clock.';
COMMENT ON COLUMN v_production.seen_until IS 'Last instant that it or an ancestor was trained, tuned, calibrated or selected on.';
COMMENT ON COLUMN v_production.promoted_at IS 'The instant that the last move to it took for now.';
COMMENT ON COLUMN v_production.promoted_by IS 'Who or what moved production to it.';
COMMENT ON COLUMN v_production.reason IS 'Why, in words.';
COMMENT ON COLUMN v_production.forced IS 'Moved against the gate.';
COMMENT ON COLUMN v_production.replaced IS 'Production before that move; null for the first.';
COMMENT ON COLUMN v_production.test_accuracy IS 'Accuracy on its test days, 0 to 1, as text.';
COMMENT ON COLUMN v_production.production_metrics IS 'What its settled signals were worth.';
COMMENT ON COLUMN v_production.missing_since IS 'Since when its directory is missing; such a version is never served.';

CREATE OR REPLACE VIEW v_last_runs AS
SELECT DISTINCT ON (line, job)
       line,
       job,
       status,
       period_key,
       as_of,
       started_at,
       finished_at,
       version,
       coalesce(error, reason) AS why
  FROM model_training_log
 WHERE line IS NOT NULL
 ORDER BY line, job, started_at DESC, id DESC;
COMMENT ON VIEW v_last_runs IS 'The newest run of each job of a line, however it ended.';
COMMENT ON COLUMN v_last_runs.line IS 'Line of models.';
COMMENT ON COLUMN v_last_runs.job IS 'What ran: weekly, daily, monthly.';
COMMENT ON COLUMN v_last_runs.status IS 'running, completed, failed, skipped, interrupted, or abandoned (its process died).';
COMMENT ON COLUMN v_last_runs.period_key IS 'Period that it was for.';
COMMENT ON COLUMN v_last_runs.as_of IS 'The instant that it took for now.';
COMMENT ON COLUMN v_last_runs.started_at IS 'When its row was written, by the database clock.';
COMMENT ON COLUMN v_last_runs.finished_at IS 'When it ended, by the database clock.';
COMMENT ON COLUMN v_last_runs.version IS 'Version that it made.';
COMMENT ON COLUMN v_last_runs.why IS 'Why it failed or was skipped, else why it was asked for.';

-- The schedule of `aifx cron`: daily 01:00, Sunday 01:00, the 1st 00:00, all UTC, each with two hours of grace. A line that has
-- never run owes nothing, and a run that was rightly skipped counts.
CREATE OR REPLACE FUNCTION aifx_overdue(at timestamptz)
RETURNS TABLE (line text, job text, since timestamptz, missed bigint, last timestamptz)
LANGUAGE sql STABLE AS $$
    WITH job (command, name, step) AS (
        VALUES ('train-daily', 'daily', interval '1 day'),
               ('train-weekly', 'weekly', interval '7 days'),
               ('evaluate-monthly', 'monthly', interval '1 month')),
    first_run AS (
        SELECT l.line, min(l.as_of) AS as_of
          FROM model_training_log l
         WHERE l.line IS NOT NULL AND l.as_of <= $1
         GROUP BY l.line),
    done AS (
        SELECT f.line, j.command, j.name, j.step, f.as_of AS first,
               (SELECT max(l.as_of) FROM model_training_log l
                 WHERE l.line = f.line AND l.job = j.name AND l.as_of <= $1
                   AND l.status IN ('completed', 'skipped')) AS last
          FROM first_run f CROSS JOIN job j),
    -- Without a zone: a session's time zone with a summer must not move the hours.
    reached AS (
        SELECT d.*, coalesce(d.last, d.first) AT TIME ZONE 'UTC' AS from_utc,
               ($1 - interval '2 hours') AT TIME ZONE 'UTC' AS until_utc
          FROM done d),
    due AS (
        SELECT r.line, r.command, r.last, t.due
          FROM reached r
         CROSS JOIN LATERAL generate_series(
               CASE r.name
                    WHEN 'daily' THEN date_trunc('day', r.from_utc) + interval '1 hour'
                    WHEN 'weekly' THEN date_trunc('week', r.from_utc) - interval '1 day' + interval '1 hour'
                    ELSE date_trunc('month', r.from_utc)
               END, r.until_utc, r.step) AS t (due)
         WHERE t.due > r.from_utc)
    SELECT d.line, d.command, min(d.due) AT TIME ZONE 'UTC', count(*), d.last
      FROM due d
     GROUP BY d.line, d.command, d.last
     ORDER BY d.line, min(d.due), d.command
$$;
COMMENT ON FUNCTION aifx_overdue(timestamptz) IS 'Nightly jobs that should have run by an instant and did not, as aifx status says it.';

CREATE OR REPLACE VIEW v_overdue AS
SELECT o.line, o.job, o.since, o.missed, o.last FROM aifx_overdue(now()) o;
COMMENT ON VIEW v_overdue IS 'Nightly jobs that should have run by now, by the database clock, and did not.';
COMMENT ON COLUMN v_overdue.line IS 'Line of models.';
COMMENT ON COLUMN v_overdue.job IS 'The command, such as train-daily.';
COMMENT ON COLUMN v_overdue.since IS 'The first time in the schedule at which it did not run.';
COMMENT ON COLUMN v_overdue.missed IS 'Times in the schedule that went by.';
COMMENT ON COLUMN v_overdue.last IS 'When it last ended well; null: never.';

-- One row a feature of the last look of each line and day.
CREATE OR REPLACE VIEW v_drift AS
SELECT run.line,
       run.day,
       run.as_of,
       run.version,
       name.feature,
       CASE WHEN jsonb_typeof(one.figures -> 'z') = 'number' THEN (one.figures ->> 'z')::double precision END AS z,
       CASE WHEN jsonb_typeof(one.figures -> 'p') = 'number' THEN (one.figures ->> 'p')::double precision END AS p
  FROM (SELECT DISTINCT ON (r.line, (r.as_of AT TIME ZONE 'UTC')::date)
               r.line, (r.as_of AT TIME ZONE 'UTC')::date AS day, r.as_of, r.version, r.drift
          FROM monitoring_runs r
         WHERE r.line IS NOT NULL AND r.drift IS NOT NULL
         ORDER BY r.line, (r.as_of AT TIME ZONE 'UTC')::date, r.as_of DESC, r.id DESC) run
 CROSS JOIN LATERAL jsonb_array_elements_text(
       CASE WHEN jsonb_typeof(run.drift -> 'features') = 'array' THEN run.drift -> 'features' ELSE '[]' END)
       WITH ORDINALITY AS name (feature, place)
  JOIN LATERAL jsonb_array_elements(
       CASE WHEN jsonb_typeof(run.drift #> '{verdict,features}') = 'array' THEN run.drift #> '{verdict,features}' ELSE '[]' END)
       WITH ORDINALITY AS one (figures, place) ON one.place = name.place;
COMMENT ON VIEW v_drift IS 'How far each feature lay from what the model learned from, by the last look of each line and day.';
COMMENT ON COLUMN v_drift.line IS 'Line of models.';
COMMENT ON COLUMN v_drift.day IS 'Day of the look, UTC.';
COMMENT ON COLUMN v_drift.as_of IS 'The instant that the look took for now.';
COMMENT ON COLUMN v_drift.version IS 'Version that was looked at.';
COMMENT ON COLUMN v_drift.feature IS 'Name of the feature.';
COMMENT ON COLUMN v_drift.z IS 'Its distance in standard deviations above the median window of the reference.';
COMMENT ON COLUMN v_drift.p IS 'Share of the reference''s own windows that lie as far off, 0 to 1.';

-- The newest look of a line, and those of a stretch of days.
CREATE INDEX IF NOT EXISTS monitoring_runs_look ON monitoring_runs (line, as_of DESC);

-- A table that was there before may have no such column, and the history of migrations is made by whoever runs them.
DO $$
BEGIN
    IF EXISTS (SELECT FROM information_schema.columns
                WHERE table_schema = current_schema() AND table_name = 'trading_signals' AND column_name = 'id') THEN
        COMMENT ON COLUMN trading_signals.id IS 'Key of the signal.';
    END IF;
    IF to_regclass('refinery_schema_history') IS NOT NULL THEN
        COMMENT ON TABLE refinery_schema_history IS 'Migrations that this schema has had.';
        COMMENT ON COLUMN refinery_schema_history.version IS 'Number of the migration.';
        COMMENT ON COLUMN refinery_schema_history.name IS 'Its name.';
        COMMENT ON COLUMN refinery_schema_history.applied_on IS 'When it was applied, RFC 3339.';
        COMMENT ON COLUMN refinery_schema_history.checksum IS 'Checksum of its text: a migration that was applied is never edited.';
    END IF;
END $$;
