-- Which answers are bets: what each is expected to pay, what it costs, why it has no size; and when a line was told to bet again.
-- Trade the size, never the signal: a buy or sell of size 0 is a call that is scored, and no trade. Only adds.
ALTER TABLE trading_signals
    ADD COLUMN IF NOT EXISTS expected_return_net double precision,
    ADD COLUMN IF NOT EXISTS cost double precision,
    ADD COLUMN IF NOT EXISTS no_size text;
COMMENT ON COLUMN trading_signals.signal IS
    'buy, sell, hold or abstain: the likeliest class. A call, not a bet: position_size says what to stake on it.';
COMMENT ON COLUMN trading_signals.position_size IS
    'Share of the account to stake, 0 to 1; 0: no trade, see no_size.';
COMMENT ON COLUMN trading_signals.expected_return_net IS
    'Return that a buy or sell is expected to bring after costs, a share of entry; null where the version cannot tell.';
COMMENT ON COLUMN trading_signals.cost IS
    'Cost of a round trip that was reckoned with, a share of entry; null for hold and abstain.';
COMMENT ON COLUMN trading_signals.no_size IS
    'Why a buy or sell has size 0: breaker, no skill, out of support, confidence, no edge after costs, edge unknown; else null.';
COMMENT ON COLUMN trading_signals.held_instead_of IS
    'buy or sell that an older aifx turned into a hold; since sizes have reasons, the signal stays and no_size says why.';
CREATE INDEX IF NOT EXISTS trading_signals_sized ON trading_signals (line, closed_at)
    WHERE position_size > 0 AND NOT shadow AND outcome IS NOT NULL;

CREATE TABLE IF NOT EXISTS breaker_resumes (
    line text NOT NULL,
    resumed_at timestamptz NOT NULL,
    reason text NOT NULL,
    as_of timestamptz NOT NULL,
    PRIMARY KEY (line, as_of)
);
COMMENT ON TABLE breaker_resumes IS
    'Each aifx resume: from then on the breaker of the line counts anew.';
COMMENT ON COLUMN breaker_resumes.line IS 'The line.';
COMMENT ON COLUMN breaker_resumes.resumed_at IS 'When it was recorded.';
COMMENT ON COLUMN breaker_resumes.reason IS 'What the operator said.';
COMMENT ON COLUMN breaker_resumes.as_of IS 'The instant that the run took for now: trades that close later count.';

CREATE OR REPLACE VIEW v_trades AS
SELECT line, model_version AS version, pair, timeframe, candle_timestamp AS candle, signal AS side, position_size AS size,
       expected_return_net, cost, entry_price AS entry, stop_loss, take_profit, expires_at, outcome, exit_reason, exit_price,
       closed_at, pnl_net / nullif(entry_price::double precision, 0) AS return_net,
       position_size * pnl_net / nullif(entry_price::double precision, 0) AS account_return
  FROM trading_signals
 WHERE NOT shadow AND abstained IS NULL AND lower(signal::text) IN ('buy', 'sell') AND position_size > 0;
COMMENT ON VIEW v_trades IS 'Answers to trade: buys and sells with a size, a row each, and what became of them.';
COMMENT ON COLUMN v_trades.line IS 'The line.';
COMMENT ON COLUMN v_trades.version IS 'The version that answered.';
COMMENT ON COLUMN v_trades.pair IS 'The pair.';
COMMENT ON COLUMN v_trades.timeframe IS 'The timeframe.';
COMMENT ON COLUMN v_trades.candle IS 'Opening of the candle that was answered.';
COMMENT ON COLUMN v_trades.side IS 'buy or sell.';
COMMENT ON COLUMN v_trades.size IS 'Share of the account, above 0.';
COMMENT ON COLUMN v_trades.expected_return_net IS 'Expected return after costs, a share of entry.';
COMMENT ON COLUMN v_trades.cost IS 'Cost of a round trip that was reckoned with, a share of entry.';
COMMENT ON COLUMN v_trades.entry IS 'Close of the candle that was answered.';
COMMENT ON COLUMN v_trades.stop_loss IS 'Price at which it is closed at a loss; null: never.';
COMMENT ON COLUMN v_trades.take_profit IS 'Price at which it is closed at a gain; null: never.';
COMMENT ON COLUMN v_trades.expires_at IS 'Instant at which it is closed whatever the price.';
COMMENT ON COLUMN v_trades.outcome IS 'win, loss or breakeven; null while it is open.';
COMMENT ON COLUMN v_trades.exit_reason IS 'stop, target or time-out.';
COMMENT ON COLUMN v_trades.exit_price IS 'Price at which it was closed, before costs.';
COMMENT ON COLUMN v_trades.closed_at IS 'When.';
COMMENT ON COLUMN v_trades.return_net IS 'What it paid after costs, a share of entry.';
COMMENT ON COLUMN v_trades.account_return IS 'The same as a share of the account.';
