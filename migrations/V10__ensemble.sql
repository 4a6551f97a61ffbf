-- Mixtures of several networks: who answers together, what each of them answered, and the weights learned from it. Only adds.
ALTER TABLE model_versions ADD COLUMN IF NOT EXISTS members jsonb;
COMMENT ON COLUMN model_versions.members IS
    'Networks that answer together as this version, in order of making: version (v1.4, or v1.0-seed1 for another network of the same run), manifest_sha256 of the directory that it comes from, and the weight (entry) with which it joined; null: its own network answers alone.';

CREATE TABLE IF NOT EXISTS member_answers (
    line text NOT NULL,
    version text NOT NULL,
    pair text NOT NULL,
    timeframe text NOT NULL,
    candle_timestamp timestamptz NOT NULL,
    answered_as_of timestamptz NOT NULL,
    probabilities real[] NOT NULL,
    PRIMARY KEY (line, candle_timestamp, pair, timeframe, version)
);
COMMENT ON TABLE member_answers IS
    'What each member of a mixture answered to a candle: the weights are learned from these rows. A row of trading_signals each.';
COMMENT ON COLUMN member_answers.line IS 'The line.';
COMMENT ON COLUMN member_answers.version IS 'The version that answered.';
COMMENT ON COLUMN member_answers.pair IS 'The pair.';
COMMENT ON COLUMN member_answers.timeframe IS 'The timeframe.';
COMMENT ON COLUMN member_answers.candle_timestamp IS 'Opening of the candle.';
COMMENT ON COLUMN member_answers.answered_as_of IS 'The instant that the run which answered took for now.';
COMMENT ON COLUMN member_answers.probabilities IS
    'Probabilities, one row of classes a component: the class prior, then the members of the version in their order.';

CREATE TABLE IF NOT EXISTS member_settlements (
    line text NOT NULL,
    day date NOT NULL,
    version text NOT NULL,
    pair text NOT NULL,
    timeframe text NOT NULL,
    candle_timestamp timestamptz NOT NULL,
    class smallint NOT NULL,
    corrects smallint,
    PRIMARY KEY (line, day, candle_timestamp, pair, timeframe, version)
);
COMMENT ON TABLE member_settlements IS
    'Which answers were settled by the midnight that begins a day, and by which class: what moved the weights of that day.';
COMMENT ON COLUMN member_settlements.line IS 'The line.';
COMMENT ON COLUMN member_settlements.day IS 'The day, UTC, whose weights count it.';
COMMENT ON COLUMN member_settlements.version IS 'The version that answered.';
COMMENT ON COLUMN member_settlements.pair IS 'The pair.';
COMMENT ON COLUMN member_settlements.timeframe IS 'The timeframe.';
COMMENT ON COLUMN member_settlements.candle_timestamp IS 'Opening of the candle that was answered.';
COMMENT ON COLUMN member_settlements.class IS 'Place of the class that came true, from 0, in the order of the version''s classes.';
COMMENT ON COLUMN member_settlements.corrects IS 'The class that an earlier day had counted, where a corrected candle changed it; else null.';

CREATE TABLE IF NOT EXISTS ensemble_weights (
    line text NOT NULL,
    day date NOT NULL,
    version text NOT NULL,
    components text[] NOT NULL,
    weights double precision[] NOT NULL,
    losses double precision[] NOT NULL,
    counts bigint[] NOT NULL,
    n_settled bigint NOT NULL,
    rate double precision NOT NULL,
    share double precision NOT NULL,
    prior double precision NOT NULL,
    as_of timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (line, day)
);
COMMENT ON TABLE ensemble_weights IS
    'Weights of a line''s mixture from each midnight on, learned from the answers settled by then. A day on which nothing settled has no row: the weights before hold.';
COMMENT ON COLUMN ensemble_weights.line IS 'The line.';
COMMENT ON COLUMN ensemble_weights.day IS 'The day, UTC, from whose midnight they hold.';
COMMENT ON COLUMN ensemble_weights.version IS 'The version that was in production at that midnight.';
COMMENT ON COLUMN ensemble_weights.components IS 'prior (the class shares of the newest member''s training part), then the members in order of making.';
COMMENT ON COLUMN ensemble_weights.weights IS 'Share of each, 0 to 1; they sum to 1.';
COMMENT ON COLUMN ensemble_weights.losses IS 'Log-loss of each since it joined, nats, summed over settled answers.';
COMMENT ON COLUMN ensemble_weights.counts IS 'Settled answers behind each of losses.';
COMMENT ON COLUMN ensemble_weights.n_settled IS 'Answers that were settled since the row before, corrections included.';
COMMENT ON COLUMN ensemble_weights.rate IS 'ensemble.rate of the line when the row was made.';
COMMENT ON COLUMN ensemble_weights.share IS 'ensemble.share of the line when the row was made.';
COMMENT ON COLUMN ensemble_weights.prior IS 'ensemble.prior of the line when the row was made.';
COMMENT ON COLUMN ensemble_weights.as_of IS 'The instant that the run which wrote it took for now.';
COMMENT ON COLUMN ensemble_weights.recorded_at IS 'When it was written.';
