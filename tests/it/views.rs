//! What an operator asks in psql: the views agree with what aifx says, and every table and column says what it is.

use crate::support::{Home, TestDatabase};

fn migrated() -> (Home, TestDatabase) {
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    home.ok(&["init"]);
    home.ok(&["db", "migrate"]);
    (home, database)
}

#[test]
fn every_table_view_and_column_has_a_comment() {
    let (_home, database) = migrated();
    let silent: Vec<String> = database
        .client()
        .query(
            "SELECT c.relname || coalesce('.' || a.attname, '')
               FROM pg_class c
               LEFT JOIN LATERAL (SELECT NULL::name AS attname, 0 AS attnum
                                  UNION ALL
                                  SELECT attname, attnum FROM pg_attribute
                                   WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a ON true
              WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')
                AND col_description(c.oid, a.attnum) IS NULL
                AND NOT (a.attnum = 0 AND obj_description(c.oid, 'pg_class') IS NOT NULL)
              ORDER BY 1",
            &[],
        )
        .expect("the catalogue")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(silent, [] as [String; 0], "these have no comment");
}

/// The runs that a line has had (job, status, instant), and the instants at which it is asked what is owed.
type Case = (&'static [(&'static str, &'static str, &'static str)], &'static [&'static str]);

#[test]
fn what_is_overdue_is_the_same_in_psql_and_in_status() {
    let (home, database) = migrated();
    let cases: [Case; 5] = [
        // Nothing has ever run: nothing is owed.
        (&[], &["2026-03-01T12:00:00Z"]),
        // A line that was set up on a Wednesday and left alone.
        (
            &[("weekly", "completed", "2026-01-28T10:00:00Z")],
            &[
                "2026-01-28T10:00:00Z",
                "2026-01-29T02:59:59Z",
                "2026-01-29T03:00:00Z",
                "2026-02-01T01:59:00Z",
                "2026-02-01T02:00:00Z",
                "2026-02-01T03:00:00Z",
                "2026-05-17T12:00:00Z",
            ],
        ),
        // Runs exactly on time, skipped ones count, failed ones do not; over a change of the clocks.
        (
            &[
                ("daily", "completed", "2026-03-27T01:00:00Z"),
                ("daily", "skipped", "2026-03-28T01:00:00Z"),
                ("daily", "failed", "2026-03-29T01:00:00Z"),
                ("weekly", "completed", "2026-03-22T01:00:00Z"),
                ("monthly", "completed", "2026-03-01T00:00:00Z"),
            ],
            &[
                "2026-03-29T02:59:00Z",
                "2026-03-29T03:00:00Z",
                "2026-04-01T02:00:00Z",
                "2026-03-25T00:00:00Z",
            ],
        ),
        // Only failures: the line has begun, no job has ended well.
        (
            &[("daily", "abandoned", "2025-12-31T01:00:00Z")],
            &["2026-01-01T01:59:00Z", "2026-01-01T02:00:00Z", "2026-02-15T00:00:00Z"],
        ),
        // A Sunday the 1st: all three are due.
        (
            &[
                ("weekly", "completed", "2026-02-28T23:59:59Z"),
                ("daily", "completed", "2026-02-28T23:00:00Z"),
            ],
            &["2026-03-01T01:30:00Z", "2026-03-01T02:00:00Z", "2026-03-01T03:00:00Z"],
        ),
    ];
    let mut client = database.client();
    let mut n_owed = 0;
    for (runs, instants) in cases {
        client.execute("DELETE FROM model_training_log", &[]).expect("empty");
        for (job, status, as_of) in runs {
            let sql = "INSERT INTO model_training_log (run_id, line, job, status, as_of)
                       VALUES (gen_random_uuid(), 'fx-direction', $1, $2, $3::text::timestamptz)";
            client.execute(sql, &[job, status, as_of]).expect("a run");
        }
        for at in instants {
            let status = home.json(&["--as-of", at, "status"]);
            let mut said: Vec<(String, String, i64)> = status["lines"][0]["overdue"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|late| {
                    let text = |key: &str| late[key].as_str().expect("a text").to_owned();
                    (text("job"), text("since"), late["missed"].as_i64().expect("a count"))
                })
                .collect();
            said.sort();
            // The session's zone must not matter.
            client.batch_execute("SET TIME ZONE 'America/New_York'").expect("a zone");
            let sql = "SELECT job, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), missed
                         FROM aifx_overdue($1::text::timestamptz) WHERE line = 'fx-direction' ORDER BY job";
            let found: Vec<(String, String, i64)> = client
                .query(sql, &[at])
                .expect("what is owed")
                .iter()
                .map(|row| (row.get(0), row.get(1), row.get(2)))
                .collect();
            assert_eq!(found, said, "{runs:?} at {at}");
            n_owed += found.len();
        }
    }
    assert!(n_owed > 15, "the cases owe something: {n_owed}");
}

#[test]
fn the_views_show_production_the_last_runs_and_the_drift_of_each_day() {
    let (_home, database) = migrated();
    let mut client = database.client();
    client
        .batch_execute(
            "INSERT INTO model_versions (line, version, status, created_at, metrics)
             VALUES ('fx-direction', 'v1.0', 'archived', now(), NULL),
                    ('fx-direction', 'v1.1', 'production', now() - interval '3 days', '{\"test\": {\"accuracy\": 0.5}}');
             INSERT INTO model_promotions (line, action, from_version, to_version, actor, fence, run_id, as_of)
             VALUES ('fx-direction', 'promote', NULL, 'v1.1', 'me', 1, gen_random_uuid(), '2026-01-01Z'),
                    ('fx-direction', 'promote', 'v1.0', 'v1.1', 'you', 3, gen_random_uuid(), '2026-01-03Z');
             INSERT INTO model_training_log (run_id, line, job, status, as_of, started_at, error, reason)
             VALUES (gen_random_uuid(), 'fx-direction', 'daily', 'completed', '2026-01-01Z', '2026-01-01Z', NULL, 'a'),
                    (gen_random_uuid(), 'fx-direction', 'daily', 'failed', '2026-01-02Z', '2026-01-02Z', 'no disk', 'b');
             INSERT INTO monitoring_runs (line, version, as_of, drift) VALUES
                ('fx-direction', 'v1.1', '2026-01-02T10:00Z', '{\"features\": [\"a\", \"b\"], \"verdict\": {\"features\": [{\"z\": 1, \"p\": 0.5}, {\"z\": 9}]}}'),
                ('fx-direction', 'v1.1', '2026-01-02T11:00Z', '{\"features\": [\"a\", \"b\"], \"verdict\": {\"features\": [{\"z\": 2.5, \"p\": 0.25}, {\"z\": \"x\"}]}}'),
                ('fx-direction', 'v1.1', '2026-01-03T11:00Z', '{\"features\": 7, \"verdict\": []}'),
                ('fx-direction', 'v1.1', '2026-01-04T11:00Z', '[]');",
        )
        .expect("rows");
    let row = client
        .query_one("SELECT version, promoted_by, replaced, test_accuracy, extract(day FROM age)::int FROM v_production", &[])
        .expect("one production");
    let texts: Vec<Option<String>> = (0..4).map(|place| row.get(place)).collect();
    let texts: Vec<&str> = texts.iter().map(|text| text.as_deref().unwrap_or("")).collect();
    assert_eq!((texts, row.get::<_, i32>(4)), (vec!["v1.1", "you", "v1.0", "0.5"], 3));
    let row = client.query_one("SELECT status, why FROM v_last_runs", &[]).expect("one job");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("failed", "no disk"));
    let drift: Vec<(String, Option<f64>, Option<f64>)> = client
        .query("SELECT feature, z, p FROM v_drift ORDER BY day, feature", &[])
        .expect("drift")
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(drift, [("a".to_owned(), Some(2.5), Some(0.25)), ("b".to_owned(), None, None)]);
    client.query("SELECT * FROM v_overdue", &[]).expect("by the clock of the database");
}
