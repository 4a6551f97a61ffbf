//! Statistics without a room of their own: distributions, bootstrap, rank tests, golden-section search. Pure.
