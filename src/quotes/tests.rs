//! Providers against local servers that answer in the real shape, faults included.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread::{self, JoinHandle},
    time::Instant,
};

use super::*;

/// A server that gives these answers in turn, and the paths it was asked for.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = thread::spawn(move || {
        let mut paths = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
            let first = lines.next().expect("a request").expect("a line");
            paths.push(first.split(' ').nth(1).unwrap_or_default().to_owned());
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            stream.write_all(answer.as_bytes()).expect("answered");
        }
        paths
    });
    (url, server)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Two closed candles, one without prices, one that is none, one still forming, one from a clock ahead.
const CHART: &str = r#"{"chart":{"result":[{"meta":{"currency":"USD","symbol":"EURUSD=X","exchangeTimezoneName":"Europe/London"},
"timestamp":[1704189600,1704193200,1704196800,1704200400,1704204000,1704207612],
"indicators":{"quote":[{"open":[1.10,1.11,null,1.12,1.13,1.14],"high":[1.12,1.13,null,1.11,1.15,1.16],
"low":[1.09,1.10,null,1.11,1.12,1.13],"close":[1.11,1.12,null,1.13,1.14,1.15],"volume":[0,0,null,0,0,0]}]}}],"error":null}}"#;

fn wanted() -> Wanted {
    Wanted {
        pair: "EUR/USD".parse().expect("a pair"),
        timeframe: Timeframe::Hour1,
        from: "2024-01-02T10:00:00Z".parse().expect("an instant"),
        as_of: "2024-01-02T14:30:00Z".parse().expect("an instant"),
    }
}

fn config(url: String) -> CollectConfig {
    CollectConfig {
        url,
        requests_per_second: 1000.0,
        timeout_seconds: 5,
        ..CollectConfig::default()
    }
}

#[test]
fn a_chart_becomes_closed_candles_and_everything_else_is_counted() {
    let (url, server) = serve(vec![answer("200 OK", "", CHART)]);
    let quotes = provider(&config(url)).candles(&wanted()).expect("candles");
    let path = "/v8/finance/chart/EURUSD=X?period1=1704189600&period2=1704205800&interval=1h&includePrePost=false";
    assert_eq!(server.join().expect("served"), [path]);
    assert_eq!(quotes.columns.close, [1.11, 1.12]);
    assert_eq!((quotes.n_empty, quotes.n_refused, quotes.n_forming), (1, 1, 2));
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let half =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nConnection: close\r\n\r\n{CHART}");
    for fault in [
        answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        answer("500 Oops", "", "<html>"),
        half,
        answer("200 OK", "", "<!doctype html><title>consent</title>"),
        answer("200 OK", "", "{\"chart\":"),
    ] {
        let (url, server) = serve(vec![fault.clone(), answer("200 OK", "", CHART)]);
        let quotes = provider(&config(url)).candles(&wanted());
        assert_eq!(quotes.expect(&fault).columns.len(), 2, "{fault}");
        assert_eq!(server.join().expect("served").len(), 2);
    }
    let unknown = r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}"#;
    for (answer, exit, why) in [
        (answer("404 Not Found", "", unknown), 4, "Yahoo says Not Found: No data found"),
        (answer("401 Unauthorized", "", ""), 4, "status 401"),
        (answer("429 Slow down", "Retry-After: 3600\r\n", ""), 5, "asked to come less often"),
    ] {
        let (url, server) = serve(vec![answer]);
        let started = Instant::now();
        let fault = provider(&config(url)).candles(&wanted()).expect_err("refused");
        assert_eq!(fault.exit().code(), exit, "{fault}");
        assert!(fault.to_string().contains(why), "{fault}");
        assert!(started.elapsed() < Duration::from_secs(3));
        server.join().expect("served");
    }
    let html = answer("200 OK", "", "<html></html>");
    let (url, server) = serve(vec![html; 3]);
    let fault = provider(&config(url)).candles(&wanted()).expect_err("never candles");
    assert!(fault.to_string().contains("a web page, not candles (try 3 of 3)"), "{fault}");
    server.join().expect("served");
    let fault = provider(&CollectConfig { tries: 1, ..config("http://127.0.0.1:1".into()) })
        .candles(&wanted())
        .expect_err("nobody there");
    assert_eq!(fault.exit().code(), 5);
}

#[test]
fn any_address_that_gives_csv_is_a_provider() {
    let body = "timestamp,open,high,low,close,volume\n2024-01-02T10:00:00Z,1.10,1.12,1.09,1.11,0\n\
                2024-01-02T11:00:00Z,1.11,1.13,1.10,1.12,0\n2024-01-02T14:00:00Z,1.11,1.13,1.10,1.12,0\n";
    let (url, server) = serve(vec![answer("200 OK", "", body)]);
    let config = CollectConfig {
        provider: ProviderKind::Csv,
        ..config(format!("{url}/{{base}}-{{quote}}/{{pair}}_{{timeframe}}.csv?from={{from}}"))
    };
    assert_eq!(config.problems(), []);
    let quotes = provider(&config).candles(&wanted()).expect("candles");
    assert_eq!(
        server.join().expect("served"),
        ["/EUR-USD/EURUSD_1h.csv?from=2024-01-02T10:00:00Z"]
    );
    assert_eq!((quotes.columns.close.as_slice(), quotes.n_forming), (&[1.11, 1.12][..], 1));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let wrong = CollectConfig {
        url: "ftp://x".into(),
        timeout_seconds: 0,
        tries: 0,
        requests_per_second: 0.0,
        ..CollectConfig::default()
    };
    let keys: Vec<&str> = wrong.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["url", "timeout_seconds", "tries", "requests_per_second"]);
    assert_eq!(CollectConfig::default().problems(), []);
}
