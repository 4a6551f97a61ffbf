//! Candles from vendors' files and quote providers.
