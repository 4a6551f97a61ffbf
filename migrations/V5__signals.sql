-- What a trading system needs of an answer, and what settling one leaves behind. Only adds.
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS line text,
    ADD COLUMN IF NOT EXISTS abstained text,
    ADD COLUMN IF NOT EXISTS position_size double precision,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS answered_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS exit_price double precision,
    ADD COLUMN IF NOT EXISTS exit_reason text,
    ADD COLUMN IF NOT EXISTS pnl_percent double precision,
    ADD COLUMN IF NOT EXISTS pnl_net double precision,
    ADD COLUMN IF NOT EXISTS settled_as_of timestamptz;
COMMENT ON COLUMN trading_signals.line IS 'Line of the model that answered.';
COMMENT ON COLUMN trading_signals.abstained IS 'Why the model gave no answer; null where it gave one.';
COMMENT ON COLUMN trading_signals.position_size IS 'Share of the account, 0 to 1, by confidence.';
COMMENT ON COLUMN trading_signals.expires_at IS 'Instant at which the position is closed whatever the price.';
COMMENT ON COLUMN trading_signals.answered_as_of IS 'The instant that the run which answered took for now.';
COMMENT ON COLUMN trading_signals.exit_price IS 'Price at which the position was closed, before costs.';
COMMENT ON COLUMN trading_signals.exit_reason IS 'stop, target or time-out.';
COMMENT ON COLUMN trading_signals.pnl_percent IS 'pnl in per cent of the entry price.';
COMMENT ON COLUMN trading_signals.pnl_net IS 'pnl less spread and slippage.';
COMMENT ON COLUMN trading_signals.settled_as_of IS 'The instant that the run which settled it took for now.';
CREATE INDEX IF NOT EXISTS trading_signals_open ON trading_signals (line, pair, timeframe)
    WHERE outcome IS NULL AND abstained IS NULL;
CREATE INDEX IF NOT EXISTS trading_signals_last ON trading_signals (line, pair, timeframe, candle_timestamp DESC);

-- A key without a default would refuse every new signal; one is added where its type allows.
DO $$
DECLARE
    id_type text;
BEGIN
    SELECT data_type INTO id_type FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name = 'trading_signals' AND column_name = 'id'
       AND column_default IS NULL AND is_identity = 'NO' AND is_nullable = 'NO';
    IF id_type = 'uuid' THEN
        ALTER TABLE trading_signals ALTER COLUMN id SET DEFAULT gen_random_uuid();
    END IF;
END $$;
