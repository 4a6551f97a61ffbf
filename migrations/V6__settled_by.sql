-- What settled a signal: real results win over simulated ones. And two lines may each have a v1.0 that answers the same
-- candle: an answer's key names its line.
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS settled_by text;
COMMENT ON COLUMN trading_signals.settled_by IS 'candles (simulated exits), rule (fixed threshold at the horizon) or fill (a real trade); null: candles.';
COMMENT ON COLUMN trading_signals.exit_reason IS 'stop, target, time-out, horizon or fill.';

CREATE UNIQUE INDEX IF NOT EXISTS trading_signals_one_answer
    ON trading_signals (coalesce(line, ''), model_version, pair, timeframe, candle_timestamp)
    WHERE model_version IS NOT NULL AND candle_timestamp IS NOT NULL;
DROP INDEX IF EXISTS trading_signals_answer;
