//! Training loops: folds in, weights and history out.
