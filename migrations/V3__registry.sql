-- The registry: runs, versions, trials, moves of production, events, alerts.
--
-- Only adds. Tables of these names may exist already with columns of their own, so each column is added by itself and
-- none is NOT NULL without a default; rows that another program wrote have no line and are never seen by aifx.

-- Numbers that only grow: a run that was overtaken cannot commit.
CREATE SEQUENCE IF NOT EXISTS aifx_fence;
COMMENT ON SEQUENCE aifx_fence IS 'Fencing numbers of runs and moves; a commit with an older number than the last one is refused.';

CREATE TABLE IF NOT EXISTS model_training_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE model_training_log IS
    'One row a run that may make or judge a version, written when it starts and completed when it ends.';
ALTER TABLE model_training_log
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS run_id uuid,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS job text,
    ADD COLUMN IF NOT EXISTS training_type text,
    ADD COLUMN IF NOT EXISTS status text,
    ADD COLUMN IF NOT EXISTS period_key text,
    ADD COLUMN IF NOT EXISTS forced boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS fence bigint,
    ADD COLUMN IF NOT EXISTS host text,
    ADD COLUMN IF NOT EXISTS pid integer,
    ADD COLUMN IF NOT EXISTS boot_id text,
    ADD COLUMN IF NOT EXISTS process_started_ticks bigint,
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN IF NOT EXISTS finished_at timestamptz,
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS parent_version text,
    ADD COLUMN IF NOT EXISTS data_from timestamptz,
    ADD COLUMN IF NOT EXISTS data_until timestamptz,
    ADD COLUMN IF NOT EXISTS n_train bigint,
    ADD COLUMN IF NOT EXISTS n_validation bigint,
    ADD COLUMN IF NOT EXISTS n_test bigint,
    ADD COLUMN IF NOT EXISTS n_epochs integer,
    ADD COLUMN IF NOT EXISTS hyperparameters jsonb,
    ADD COLUMN IF NOT EXISTS train_loss double precision,
    ADD COLUMN IF NOT EXISTS validation_loss double precision,
    ADD COLUMN IF NOT EXISTS test_loss double precision,
    ADD COLUMN IF NOT EXISTS train_accuracy double precision,
    ADD COLUMN IF NOT EXISTS validation_accuracy double precision,
    ADD COLUMN IF NOT EXISTS test_accuracy double precision,
    ADD COLUMN IF NOT EXISTS backtest jsonb,
    ADD COLUMN IF NOT EXISTS training_s double precision,
    ADD COLUMN IF NOT EXISTS model_path text,
    ADD COLUMN IF NOT EXISTS reason text,
    ADD COLUMN IF NOT EXISTS error text;
COMMENT ON COLUMN model_training_log.id IS 'Order of the rows.';
COMMENT ON COLUMN model_training_log.run_id IS 'Key of the run (UUIDv7); publishing is safe to repeat because of it.';
COMMENT ON COLUMN model_training_log.line IS 'Line of models, such as fx-direction.';
COMMENT ON COLUMN model_training_log.job IS 'What ran: weekly, daily, monthly.';
COMMENT ON COLUMN model_training_log.training_type IS 'full (from scratch) or incremental (fine-tune).';
COMMENT ON COLUMN model_training_log.status IS 'running, completed, failed, skipped, interrupted, or abandoned (its process died).';
COMMENT ON COLUMN model_training_log.period_key IS 'Period that a scheduled job runs once in, such as weekly:2025-W43; null outside a schedule.';
COMMENT ON COLUMN model_training_log.forced IS 'Ran again within its period because the operator asked for it.';
COMMENT ON COLUMN model_training_log.fence IS 'Fencing number: a commit with a lower number than the last one on the line is refused.';
COMMENT ON COLUMN model_training_log.host IS 'Host name of the process.';
COMMENT ON COLUMN model_training_log.pid IS 'Process id.';
COMMENT ON COLUMN model_training_log.boot_id IS 'Boot of the host, from /proc/sys/kernel/random/boot_id.';
COMMENT ON COLUMN model_training_log.process_started_ticks IS 'Start of the process in clock ticks since boot: tells a reused process id.';
COMMENT ON COLUMN model_training_log.as_of IS 'The instant that the run took for now.';
COMMENT ON COLUMN model_training_log.started_at IS 'When the row was written, by the database clock.';
COMMENT ON COLUMN model_training_log.finished_at IS 'When the run ended, by the database clock.';
COMMENT ON COLUMN model_training_log.version IS 'Version that the run made.';
COMMENT ON COLUMN model_training_log.parent_version IS 'Version that the run started from, for a fine-tune.';
COMMENT ON COLUMN model_training_log.data_from IS 'Opening of the first candle that was used.';
COMMENT ON COLUMN model_training_log.data_until IS 'Last instant that the data reaches to.';
COMMENT ON COLUMN model_training_log.n_train IS 'Training samples.';
COMMENT ON COLUMN model_training_log.n_validation IS 'Validation samples.';
COMMENT ON COLUMN model_training_log.n_test IS 'Test samples.';
COMMENT ON COLUMN model_training_log.n_epochs IS 'Epochs trained.';
COMMENT ON COLUMN model_training_log.hyperparameters IS 'Settings of the run, as configured.';
COMMENT ON COLUMN model_training_log.train_loss IS 'Cross-entropy on the training part, nats.';
COMMENT ON COLUMN model_training_log.validation_loss IS 'Cross-entropy on the validation part, nats.';
COMMENT ON COLUMN model_training_log.test_loss IS 'Cross-entropy on the test part, nats.';
COMMENT ON COLUMN model_training_log.train_accuracy IS 'Accuracy on the training part, 0 to 1.';
COMMENT ON COLUMN model_training_log.validation_accuracy IS 'Accuracy on the validation part, 0 to 1.';
COMMENT ON COLUMN model_training_log.test_accuracy IS 'Accuracy on the test part, 0 to 1.';
COMMENT ON COLUMN model_training_log.backtest IS 'Figures of the backtest on the test part.';
COMMENT ON COLUMN model_training_log.training_s IS 'Duration of the training, seconds.';
COMMENT ON COLUMN model_training_log.model_path IS 'Directory of the version, relative to models/; for readers, never read back.';
COMMENT ON COLUMN model_training_log.reason IS 'Why the run was asked for, or why it was skipped.';
COMMENT ON COLUMN model_training_log.error IS 'Why it failed.';
CREATE UNIQUE INDEX IF NOT EXISTS model_training_log_run_id ON model_training_log (run_id);
-- A failed or abandoned run must not block the retry, so only a completed one takes the period.
CREATE UNIQUE INDEX IF NOT EXISTS model_training_log_period ON model_training_log (line, period_key)
    WHERE status = 'completed' AND NOT forced;
CREATE INDEX IF NOT EXISTS model_training_log_line ON model_training_log (line, started_at DESC);

CREATE TABLE IF NOT EXISTS model_versions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE model_versions IS
    'One row a published version. The row is the truth; the directory models/LINE/VERSION holds its files.';
ALTER TABLE model_versions
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS status text,
    ADD COLUMN IF NOT EXISTS parent_version text,
    ADD COLUMN IF NOT EXISTS run_id uuid,
    ADD COLUMN IF NOT EXISTS fence bigint,
    ADD COLUMN IF NOT EXISTS seen_until timestamptz,
    ADD COLUMN IF NOT EXISTS metrics jsonb,
    ADD COLUMN IF NOT EXISTS production_metrics jsonb,
    ADD COLUMN IF NOT EXISTS gate jsonb,
    ADD COLUMN IF NOT EXISTS manifest_sha256 text,
    ADD COLUMN IF NOT EXISTS size_bytes bigint,
    ADD COLUMN IF NOT EXISTS stage1_model_path text,
    ADD COLUMN IF NOT EXISTS stage2_model_path text,
    ADD COLUMN IF NOT EXISTS missing_since timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz,
    ADD COLUMN IF NOT EXISTS recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN model_versions.id IS 'Order of the rows.';
COMMENT ON COLUMN model_versions.line IS 'Line of models.';
COMMENT ON COLUMN model_versions.version IS 'Version, such as v1.4 or v1.4-daily-20251021.';
COMMENT ON COLUMN model_versions.status IS 'training, staging, production or archived.';
COMMENT ON COLUMN model_versions.parent_version IS 'Version that it was fine-tuned from.';
COMMENT ON COLUMN model_versions.run_id IS 'Run that made it.';
COMMENT ON COLUMN model_versions.fence IS 'Fencing number of the run that registered it.';
COMMENT ON COLUMN model_versions.seen_until IS 'Last instant that it or an ancestor was trained, tuned, calibrated or selected on.';
COMMENT ON COLUMN model_versions.metrics IS 'Figures at publication.';
COMMENT ON COLUMN model_versions.production_metrics IS 'Figures measured while in production.';
COMMENT ON COLUMN model_versions.gate IS 'Verdict of the gate: rules, thresholds, measured values.';
COMMENT ON COLUMN model_versions.manifest_sha256 IS 'SHA-256 of the version''s SHA256SUMS.';
COMMENT ON COLUMN model_versions.size_bytes IS 'Size of the version''s files.';
COMMENT ON COLUMN model_versions.stage1_model_path IS 'Weights of the classifier, relative to models/; for readers, never read back.';
COMMENT ON COLUMN model_versions.stage2_model_path IS 'Weights of a second stage, where there is one.';
COMMENT ON COLUMN model_versions.missing_since IS 'Since when the directory is missing; such a version is never served.';
COMMENT ON COLUMN model_versions.created_at IS 'The instant that its run took for now.';
COMMENT ON COLUMN model_versions.recorded_at IS 'When the row was written, by the database clock.';
CREATE UNIQUE INDEX IF NOT EXISTS model_versions_line_version ON model_versions (line, version);
CREATE UNIQUE INDEX IF NOT EXISTS model_versions_run_id ON model_versions (run_id);
CREATE UNIQUE INDEX IF NOT EXISTS model_versions_one_production ON model_versions (line)
    WHERE status = 'production';

CREATE TABLE IF NOT EXISTS trials (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE trials IS
    'Every version ever scored, so that the number of trials is counted and not configured.';
ALTER TABLE trials
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS run_id uuid,
    ADD COLUMN IF NOT EXISTS track text,
    ADD COLUMN IF NOT EXISTS scored_from timestamptz,
    ADD COLUMN IF NOT EXISTS scored_until timestamptz,
    ADD COLUMN IF NOT EXISTS n_samples bigint,
    ADD COLUMN IF NOT EXISTS n_days bigint,
    ADD COLUMN IF NOT EXISTS metrics jsonb,
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN trials.id IS 'Order of the rows.';
COMMENT ON COLUMN trials.line IS 'Line of models.';
COMMENT ON COLUMN trials.version IS 'Version that was scored.';
COMMENT ON COLUMN trials.run_id IS 'Run that scored it.';
COMMENT ON COLUMN trials.track IS 'refresh (same recipe, newer data) or change (features, label, architecture, hyperparameters).';
COMMENT ON COLUMN trials.scored_from IS 'First decision that was scored.';
COMMENT ON COLUMN trials.scored_until IS 'Last decision that was scored.';
COMMENT ON COLUMN trials.n_samples IS 'Samples that were scored.';
COMMENT ON COLUMN trials.n_days IS 'Trading days that were scored.';
COMMENT ON COLUMN trials.metrics IS 'Figures of the score.';
COMMENT ON COLUMN trials.as_of IS 'The instant that the run took for now.';
COMMENT ON COLUMN trials.recorded_at IS 'When the row was written, by the database clock.';
CREATE UNIQUE INDEX IF NOT EXISTS trials_once ON trials (line, version, run_id);

CREATE TABLE IF NOT EXISTS model_promotions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE model_promotions IS
    'Every move of production: promote and rollback, in order.';
ALTER TABLE model_promotions
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS action text,
    ADD COLUMN IF NOT EXISTS from_version text,
    ADD COLUMN IF NOT EXISTS to_version text,
    ADD COLUMN IF NOT EXISTS actor text,
    ADD COLUMN IF NOT EXISTS reason text,
    ADD COLUMN IF NOT EXISTS gate jsonb,
    ADD COLUMN IF NOT EXISTS forced boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS fence bigint,
    ADD COLUMN IF NOT EXISTS run_id uuid,
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN model_promotions.id IS 'Order of the rows.';
COMMENT ON COLUMN model_promotions.line IS 'Line of models.';
COMMENT ON COLUMN model_promotions.action IS 'promote or rollback.';
COMMENT ON COLUMN model_promotions.from_version IS 'Production before the move; null for the first.';
COMMENT ON COLUMN model_promotions.to_version IS 'Production after the move.';
COMMENT ON COLUMN model_promotions.actor IS 'Who or what moved it.';
COMMENT ON COLUMN model_promotions.reason IS 'Why, in words.';
COMMENT ON COLUMN model_promotions.gate IS 'Verdict of the gate at the move.';
COMMENT ON COLUMN model_promotions.forced IS 'Moved against the gate.';
COMMENT ON COLUMN model_promotions.fence IS 'Fencing number of the move.';
COMMENT ON COLUMN model_promotions.run_id IS 'Key of the move: it is safe to repeat because of it.';
COMMENT ON COLUMN model_promotions.as_of IS 'The instant that the command took for now.';
COMMENT ON COLUMN model_promotions.recorded_at IS 'When the row was written, by the database clock.';
CREATE UNIQUE INDEX IF NOT EXISTS model_promotions_run_id ON model_promotions (run_id);
CREATE INDEX IF NOT EXISTS model_promotions_line ON model_promotions (line, fence DESC);

CREATE TABLE IF NOT EXISTS model_ab_test (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE model_ab_test IS
    'Tests of two versions against each other on live candles.';
ALTER TABLE model_ab_test
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS ab_test_id uuid,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS version_a text,
    ADD COLUMN IF NOT EXISTS version_b text,
    ADD COLUMN IF NOT EXISTS share_b double precision,
    ADD COLUMN IF NOT EXISTS status text,
    ADD COLUMN IF NOT EXISTS metrics jsonb,
    ADD COLUMN IF NOT EXISTS winner text,
    ADD COLUMN IF NOT EXISTS started_at timestamptz,
    ADD COLUMN IF NOT EXISTS finished_at timestamptz,
    ADD COLUMN IF NOT EXISTS recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN model_ab_test.id IS 'Order of the rows.';
COMMENT ON COLUMN model_ab_test.ab_test_id IS 'Key of the test.';
COMMENT ON COLUMN model_ab_test.line IS 'Line of models.';
COMMENT ON COLUMN model_ab_test.version_a IS 'The incumbent.';
COMMENT ON COLUMN model_ab_test.version_b IS 'The challenger.';
COMMENT ON COLUMN model_ab_test.share_b IS 'Share of candles that the challenger answers, 0 to 1; null where both answer all.';
COMMENT ON COLUMN model_ab_test.status IS 'running, completed or stopped.';
COMMENT ON COLUMN model_ab_test.metrics IS 'Figures of both.';
COMMENT ON COLUMN model_ab_test.winner IS 'Version that won, if one did.';
COMMENT ON COLUMN model_ab_test.started_at IS 'First candle of the test.';
COMMENT ON COLUMN model_ab_test.finished_at IS 'Last candle of the test.';
COMMENT ON COLUMN model_ab_test.recorded_at IS 'When the row was written, by the database clock.';
CREATE UNIQUE INDEX IF NOT EXISTS model_ab_test_id ON model_ab_test (ab_test_id);

CREATE TABLE IF NOT EXISTS ml_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE ml_events IS
    'What has happened, written in the transaction that it reports and published afterwards, in order a channel.';
ALTER TABLE ml_events
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS event_id uuid,
    ADD COLUMN IF NOT EXISTS channel text,
    ADD COLUMN IF NOT EXISTS payload jsonb,
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN IF NOT EXISTS delivered_at timestamptz,
    ADD COLUMN IF NOT EXISTS n_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS last_error text;
COMMENT ON COLUMN ml_events.id IS 'Order of the rows.';
COMMENT ON COLUMN ml_events.event_id IS 'Key of the event: subscribers can drop what they had.';
COMMENT ON COLUMN ml_events.channel IS 'Channel, such as ml:model_deployed.';
COMMENT ON COLUMN ml_events.payload IS 'The event.';
COMMENT ON COLUMN ml_events.as_of IS 'The instant that the run took for now.';
COMMENT ON COLUMN ml_events.created_at IS 'When the row was written, by the database clock.';
COMMENT ON COLUMN ml_events.delivered_at IS 'When it was published; null while nobody has heard it.';
COMMENT ON COLUMN ml_events.n_attempts IS 'Tries to publish it.';
COMMENT ON COLUMN ml_events.last_error IS 'Why the last try failed.';
CREATE UNIQUE INDEX IF NOT EXISTS ml_events_event_id ON ml_events (event_id);
CREATE INDEX IF NOT EXISTS ml_events_undelivered ON ml_events (id) WHERE delivered_at IS NULL;

CREATE TABLE IF NOT EXISTS alerts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE alerts IS
    'What a person should look at, once for each cause.';
ALTER TABLE alerts
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS alert_id uuid,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS cause text,
    ADD COLUMN IF NOT EXISTS severity text,
    ADD COLUMN IF NOT EXISTS message text,
    ADD COLUMN IF NOT EXISTS details jsonb,
    ADD COLUMN IF NOT EXISTS raised_at timestamptz,
    ADD COLUMN IF NOT EXISTS last_seen_at timestamptz,
    ADD COLUMN IF NOT EXISTS notified_at timestamptz,
    ADD COLUMN IF NOT EXISTS resolved_at timestamptz,
    ADD COLUMN IF NOT EXISTS n_seen bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN alerts.id IS 'Order of the rows.';
COMMENT ON COLUMN alerts.alert_id IS 'Key of the alert.';
COMMENT ON COLUMN alerts.line IS 'Line of models, where it is about one.';
COMMENT ON COLUMN alerts.cause IS 'What it is about: the same cause is the same alert.';
COMMENT ON COLUMN alerts.severity IS 'info, warning or critical.';
COMMENT ON COLUMN alerts.message IS 'What is wrong, for people.';
COMMENT ON COLUMN alerts.details IS 'Figures behind it.';
COMMENT ON COLUMN alerts.raised_at IS 'When the cause was first seen.';
COMMENT ON COLUMN alerts.last_seen_at IS 'When the cause was last seen.';
COMMENT ON COLUMN alerts.notified_at IS 'When channels were last told.';
COMMENT ON COLUMN alerts.resolved_at IS 'When the cause was gone; null while it is open.';
COMMENT ON COLUMN alerts.n_seen IS 'How often the cause was seen.';
CREATE UNIQUE INDEX IF NOT EXISTS alerts_open ON alerts (cause) WHERE resolved_at IS NULL;

CREATE TABLE IF NOT EXISTS monitoring_runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
COMMENT ON TABLE monitoring_runs IS
    'One row a version and window that the monitor looked at.';
ALTER TABLE monitoring_runs
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS run_id uuid,
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS window_from timestamptz,
    ADD COLUMN IF NOT EXISTS window_until timestamptz,
    ADD COLUMN IF NOT EXISTS n_samples bigint,
    ADD COLUMN IF NOT EXISTS metrics jsonb,
    ADD COLUMN IF NOT EXISTS drift jsonb,
    ADD COLUMN IF NOT EXISTS verdict text,
    ADD COLUMN IF NOT EXISTS reason text,
    ADD COLUMN IF NOT EXISTS as_of timestamptz,
    ADD COLUMN IF NOT EXISTS recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN monitoring_runs.id IS 'Order of the rows.';
COMMENT ON COLUMN monitoring_runs.run_id IS 'Run of the monitor.';
COMMENT ON COLUMN monitoring_runs.line IS 'Line of models.';
COMMENT ON COLUMN monitoring_runs.version IS 'Version that was looked at.';
COMMENT ON COLUMN monitoring_runs.window_from IS 'Start of the window.';
COMMENT ON COLUMN monitoring_runs.window_until IS 'End of the window.';
COMMENT ON COLUMN monitoring_runs.n_samples IS 'Settled signals in the window.';
COMMENT ON COLUMN monitoring_runs.metrics IS 'Accuracy, log-loss, ROI, calibration, class shares.';
COMMENT ON COLUMN monitoring_runs.drift IS 'Drift of the features against the reference.';
COMMENT ON COLUMN monitoring_runs.verdict IS 'What followed: none, alert, retrain.';
COMMENT ON COLUMN monitoring_runs.reason IS 'Why.';
COMMENT ON COLUMN monitoring_runs.as_of IS 'The instant that the run took for now.';
COMMENT ON COLUMN monitoring_runs.recorded_at IS 'When the row was written, by the database clock.';
CREATE INDEX IF NOT EXISTS monitoring_runs_line ON monitoring_runs (line, version, window_until DESC);
