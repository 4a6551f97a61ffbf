//! A seeded market with a known, learnable edge. Pure.
