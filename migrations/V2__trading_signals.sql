-- Signals: what a model answered to a closed candle, and what came of it.
--
-- Only adds; a table that exists keeps its rows and columns.

CREATE TABLE IF NOT EXISTS trading_signals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair text,
    timeframe text,
    signal text
);
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS pair text,
    ADD COLUMN IF NOT EXISTS timeframe text,
    ADD COLUMN IF NOT EXISTS signal text,
    ADD COLUMN IF NOT EXISTS confidence double precision,
    ADD COLUMN IF NOT EXISTS entry_price double precision,
    ADD COLUMN IF NOT EXISTS stop_loss double precision,
    ADD COLUMN IF NOT EXISTS take_profit double precision,
    ADD COLUMN IF NOT EXISTS outcome text,
    ADD COLUMN IF NOT EXISTS pnl double precision,
    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS closed_at timestamptz,
    ADD COLUMN IF NOT EXISTS model_version text,
    ADD COLUMN IF NOT EXISTS ab_test_id bigint,
    ADD COLUMN IF NOT EXISTS probabilities jsonb,
    ADD COLUMN IF NOT EXISTS candle_timestamp timestamptz,
    ADD COLUMN IF NOT EXISTS shadow boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX IF NOT EXISTS trading_signals_answer
    ON trading_signals (model_version, pair, timeframe, candle_timestamp)
    WHERE model_version IS NOT NULL AND candle_timestamp IS NOT NULL;

COMMENT ON TABLE trading_signals IS 'One row an answer of a model to a closed candle, with what came of it.';
COMMENT ON COLUMN trading_signals.pair IS 'Currency pair, such as EUR/USD.';
COMMENT ON COLUMN trading_signals.timeframe IS '1min 5min 15min 30min 1h 4h 1d 1w 1M (calendar month).';
COMMENT ON COLUMN trading_signals.signal IS 'buy, sell or hold.';
COMMENT ON COLUMN trading_signals.confidence IS 'Calibrated probability of the signal, 0 to 1.';
COMMENT ON COLUMN trading_signals.entry_price IS 'Close of the candle that was answered.';
COMMENT ON COLUMN trading_signals.stop_loss IS 'Price at which the position is closed at a loss.';
COMMENT ON COLUMN trading_signals.take_profit IS 'Price at which the position is closed at a profit.';
COMMENT ON COLUMN trading_signals.outcome IS 'win, loss or breakeven; null while open.';
COMMENT ON COLUMN trading_signals.pnl IS 'Profit in units of the quote currency a unit of the base currency.';
COMMENT ON COLUMN trading_signals.created_at IS 'When the row was written.';
COMMENT ON COLUMN trading_signals.closed_at IS 'When the outcome was settled.';
COMMENT ON COLUMN trading_signals.model_version IS 'Version that answered.';
COMMENT ON COLUMN trading_signals.ab_test_id IS 'Test that the answer belongs to.';
COMMENT ON COLUMN trading_signals.probabilities IS 'Probability of each class.';
COMMENT ON COLUMN trading_signals.candle_timestamp IS 'Opening instant of the candle that was answered.';
COMMENT ON COLUMN trading_signals.shadow IS 'An answer that is only compared, never traded.';
