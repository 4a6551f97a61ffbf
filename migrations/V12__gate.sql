-- Until when the evidence reaches by which a version was selected, and which scores are verdicts of the gate. Only adds.
ALTER TABLE model_versions
    ADD COLUMN IF NOT EXISTS selected_until timestamptz;
COMMENT ON COLUMN model_versions.seen_until IS
    'Last instant that it or an ancestor was trained, tuned or calibrated on.';
COMMENT ON COLUMN model_versions.selected_until IS
    'End of the evidence that spoke for it, set by a promotion through the gate and by the choice of evaluate-monthly; null: never chosen.';

ALTER TABLE trials
    ADD COLUMN IF NOT EXISTS verdict text;
COMMENT ON COLUMN trials.run_id IS
    'Run that scored it; judging a version anew has a key of its own.';
COMMENT ON COLUMN trials.verdict IS
    'passed or refused, where the gate judged by this score; null: only scored, or written before there was this column.';
