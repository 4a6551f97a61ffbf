//! Which of stop-loss, take-profit and time-out came first after an entry, and what it paid. Pure.
