//! Trades and equity from signals, candles and costs. Pure.
