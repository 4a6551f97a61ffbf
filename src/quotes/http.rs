//! GET with time-outs, tries, jitter and a rate limit.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use crate::fault::Fault;

/// More than this is no answer of a quote provider.
const MAX_BYTES: u64 = 32 << 20;
/// The pause after the first failure; it doubles.
const PAUSE: Duration = Duration::from_millis(400);
/// A provider that asks for a longer pause gets none: the next run comes in minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

pub(super) struct Client {
    agent: ureq::Agent,
    tries: u32,
    gap: Duration,
    last: Cell<Option<Instant>>,
}

/// Why a try failed.
enum Failure {
    /// Another try may help, after this pause where the server asks for one.
    Passing(String, Option<Duration>),
    /// It will not.
    Final(Fault),
}

impl Client {
    pub(super) fn new(timeout: Duration, tries: u32, gap: Duration) -> Client {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(2)
            .http_status_as_error(false)
            .user_agent(concat!("aifx/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Client { agent, tries, gap, last: Cell::new(None) }
    }

    /// The body of an answer with status 200 that `read` understands.
    pub(super) fn get<T>(
        &self,
        url: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let mut pause = PAUSE;
        for tries_left in (0..self.tries).rev() {
            self.keep_the_rate();
            match self.once(url, &read) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(fault)) => return Err(fault),
                Err(Failure::Passing(why, asked)) => {
                    let wait =
                        asked.unwrap_or_else(|| pause.mul_f64(0.5 + rand::rng().random::<f64>()));
                    if tries_left == 0 || wait > LONGEST_PAUSE {
                        let n = self.tries - tries_left;
                        return Err(Fault::database(format!("{why} (try {n} of {})", self.tries))
                            .hint("the provider is away or busy; the next run catches up"));
                    }
                    thread::sleep(wait);
                    pause *= 2;
                }
            }
        }
        unreachable!("there is at least one try, and the last one returns")
    }

    fn keep_the_rate(&self) {
        if let Some(last) = self.last.get() {
            thread::sleep(self.gap.saturating_sub(last.elapsed()));
        }
        self.last.set(Some(Instant::now()));
    }

    fn once<T>(&self, url: &str, read: &impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
        let passing = |why: String| Failure::Passing(why, None);
        let mut response =
            self.agent.get(url).call().map_err(|error| passing(format!("no answer: {error}")))?;
        let status = response.status().as_u16();
        let asked = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_BYTES)
            .read_to_string()
            .map_err(|error| passing(format!("the answer broke off: {error}")))?;
        match status {
            200 => read(&body).map_err(|why| {
                if body.trim_start().starts_with('<') {
                    passing("the answer is a web page, not candles".to_owned())
                } else {
                    passing(why)
                }
            }),
            404 => Err(Failure::Final(Fault::input(match read(&body) {
                Err(why) if !body.trim_start().starts_with('<') => why,
                _ => "the provider does not have this series (status 404)".to_owned(),
            }))),
            429 => Err(Failure::Passing("asked to come less often (status 429)".into(), asked)),
            500.. => Err(Failure::Passing(format!("it answered with status {status}"), asked)),
            _ => Err(Failure::Final(Fault::input(format!("it answered with status {status}")))),
        }
    }
}
