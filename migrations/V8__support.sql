-- How far an answered window lies from everything that the version has learned from. Only adds.
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS dissimilarity double precision,
    ADD COLUMN IF NOT EXISTS out_of_support text,
    ADD COLUMN IF NOT EXISTS held_instead_of text;
COMMENT ON COLUMN trading_signals.dissimilarity IS
    'Distance of the window''s last candle from the nearest reference row of the version, over the mean distance of two training rows; null where the version has no such rows or the window is not complete.';
COMMENT ON COLUMN trading_signals.out_of_support IS
    'That the dissimilarity is beyond the version''s threshold, and what became of the signal, in words; null: it is not, or nobody looked.';
COMMENT ON COLUMN trading_signals.held_instead_of IS
    'buy or sell: what the signal would have been, had its window not been out of support; null where nothing was changed.';
