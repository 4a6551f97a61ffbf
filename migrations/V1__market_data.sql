-- Candles and their superseded revisions.
--
-- Only adds. `market_data` may exist already, with NUMERIC prices, a UUID key and columns of its own: each column is added
-- by itself, and rows that were there keep a null `ingested_at`, which means known from the beginning.

CREATE TABLE IF NOT EXISTS market_data (
    pair text NOT NULL,
    timeframe text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL DEFAULT 0
);
ALTER TABLE market_data
    ADD COLUMN IF NOT EXISTS volume double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS ingested_at timestamptz;
ALTER TABLE market_data ALTER COLUMN ingested_at SET DEFAULT now();

-- A key without a default would refuse every new candle; one is added where its type allows.
DO $$
DECLARE
    id_type text;
BEGIN
    SELECT data_type INTO id_type FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name = 'market_data' AND column_name = 'id'
       AND column_default IS NULL AND is_identity = 'NO' AND is_nullable = 'NO';
    IF id_type = 'uuid' THEN
        ALTER TABLE market_data ALTER COLUMN id SET DEFAULT gen_random_uuid();
    END IF;
END $$;

-- One candle an instant. Two rows for one are nobody's to choose between but the operator's.
DO $$
DECLARE
    twice text;
    n bigint;
BEGIN
    SELECT count(*), min(format('%s %s %s', pair, timeframe, "timestamp")) INTO n, twice
      FROM (SELECT pair, timeframe, "timestamp" FROM market_data
             GROUP BY pair, timeframe, "timestamp" HAVING count(*) > 1) AS doubled;
    IF n > 0 THEN
        RAISE EXCEPTION 'market_data holds % candles twice, the first is %', n, twice
            USING ERRCODE = 'AX001', HINT = 'delete the rows that are wrong and run: aifx db migrate';
    END IF;
END $$;
CREATE UNIQUE INDEX IF NOT EXISTS market_data_candle ON market_data (pair, timeframe, "timestamp");

COMMENT ON TABLE market_data IS 'Candles: one row a pair, timeframe and opening instant; the last import wins.';
COMMENT ON COLUMN market_data.pair IS 'Currency pair, such as EUR/USD.';
COMMENT ON COLUMN market_data.timeframe IS '1min 5min 15min 30min 1h 4h 1d 1w 1M (calendar month).';
COMMENT ON COLUMN market_data."timestamp" IS 'Instant at which the candle opens, UTC.';
COMMENT ON COLUMN market_data.open IS 'First price, in units of the quote currency.';
COMMENT ON COLUMN market_data.high IS 'Highest price.';
COMMENT ON COLUMN market_data.low IS 'Lowest price.';
COMMENT ON COLUMN market_data.close IS 'Last price.';
COMMENT ON COLUMN market_data.volume IS 'In whatever unit the vendor counts; 0 where there is none.';
COMMENT ON COLUMN market_data.ingested_at IS 'When this value became known; null: before aifx kept count.';

CREATE TABLE IF NOT EXISTS market_data_revisions (
    pair text NOT NULL,
    timeframe text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    ingested_at timestamptz,
    superseded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS market_data_revisions_candle
    ON market_data_revisions (pair, timeframe, "timestamp", superseded_at);
COMMENT ON TABLE market_data_revisions IS 'Values of candles that a later import replaced; append only.';
COMMENT ON COLUMN market_data_revisions.pair IS 'Currency pair, such as EUR/USD.';
COMMENT ON COLUMN market_data_revisions.timeframe IS '1min 5min 15min 30min 1h 4h 1d 1w 1M (calendar month).';
COMMENT ON COLUMN market_data_revisions."timestamp" IS 'Instant at which the candle opens, UTC.';
COMMENT ON COLUMN market_data_revisions.open IS 'First price as it was.';
COMMENT ON COLUMN market_data_revisions.high IS 'Highest price as it was.';
COMMENT ON COLUMN market_data_revisions.low IS 'Lowest price as it was.';
COMMENT ON COLUMN market_data_revisions.close IS 'Last price as it was.';
COMMENT ON COLUMN market_data_revisions.volume IS 'Volume as it was.';
COMMENT ON COLUMN market_data_revisions.ingested_at IS 'When the value became known; null: before aifx kept count.';
COMMENT ON COLUMN market_data_revisions.superseded_at IS 'When a later import replaced it.';
