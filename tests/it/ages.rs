//! How fast versions age: archived ones are asked too, on days that they had not seen, and the month's report shows it.

use crate::nights::Field;

#[test]
fn the_month_shows_skill_by_age_and_asks_archived_versions_too() {
    let field = Field::new();
    for (at, version) in [("2025-09-21T01:00:00Z", "v1.0"), ("2025-09-28T01:00:00Z", "v1.1")] {
        field.json_at(at, &["train-weekly", "--no-promote"]);
        field.json_at(at, &["promote", version, "--force", "--reason", "test"]);
    }
    let now = "2025-10-25T00:00:00Z";
    let month = field.json_at(now, &["evaluate-monthly", "--no-promote"]);
    let ranked = month["versions"].as_array().expect("a list");
    assert_eq!((ranked.len(), &ranked[0]["version"]), (1, &"v1.1".into()), "v1.0 is archived");
    let ages = month["freshness"]["ages"].as_array().expect("ages");
    let number = |age: &serde_json::Value, key: &str| age[key].as_u64().expect("a count");
    assert!(ages.iter().any(|age| number(age, "n_versions") == 2), "{ages:?}");
    let oldest = ages.last().expect("ages");
    // Age counts from the last instant seen: for v1.0, made on 21 September, the end of its validation part six trading days before.
    assert_eq!((number(oldest, "from_days"), number(oldest, "n_versions")), (28, 2));
    let n_days: u64 = ages.iter().map(|age| number(age, "n_days")).sum();
    assert!((25..=50).contains(&n_days), "{n_days}");
    let why = month["freshness"]["why"].as_str().expect("why");
    assert!(!why.is_empty());
    let folder = field.home.path().join("reports/monthly");
    let page = std::fs::read_to_string(folder.join("2025-10-fx-direction.html")).expect("a page");
    let text = std::fs::read_to_string(folder.join("2025-10-fx-direction.md")).expect("a text");
    assert!(page.contains("How fast do versions age?") && page.contains("Skill by age"));
    assert!(text.contains("## Freshness") && !page.contains("NaN"));
}
