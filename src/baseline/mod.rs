//! What a model must beat: the majority class and an indicator rule (MACD cross with an RSI filter). Pure.
