//! Predictor: candles in, probabilities out; the one path for backtest, promotion and signals.
