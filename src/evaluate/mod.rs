//! Predictions, classification figures, calibration, significance. Pure.
