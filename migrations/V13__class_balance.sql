-- The class balance of the labels that a run learned from: `aifx status` and the alerts say it without labelling anything. Only
-- adds.
ALTER TABLE model_training_log ADD COLUMN IF NOT EXISTS class_balance jsonb;
COMMENT ON COLUMN model_training_log.class_balance IS
    'Rule, samples and share of each class of the training labels, and the multiple of the volatility rule that would balance them where one class holds more than 60 %.';
