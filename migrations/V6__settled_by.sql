-- What settled a signal: real results win over simulated ones. Only adds.
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS settled_by text;
COMMENT ON COLUMN trading_signals.settled_by IS 'candles (simulated exits), rule (fixed threshold at the horizon) or fill (a real trade); null: candles.';
COMMENT ON COLUMN trading_signals.exit_reason IS 'stop, target, time-out, horizon or fill.';
