//! The terminal side of [`Watch`]: bars on a terminal, one log line an epoch otherwise, and the stop signals.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    jobs::{Stop, Watch},
    ui::Ui,
};

/// Watches a job for one command; a second signal ends the process at once.
pub(super) struct TerminalWatch {
    bar: Option<ProgressBar>,
    signal: Arc<AtomicUsize>,
}

impl TerminalWatch {
    /// Listens for SIGINT and SIGTERM from here on.
    pub(super) fn start(ui: &Ui) -> TerminalWatch {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [libc::SIGINT, libc::SIGTERM] {
            let armed = Arc::new(AtomicBool::new(false));
            let value = usize::try_from(number).unwrap_or(0);
            let exit = if number == libc::SIGINT { 130 } else { 143 };
            // In this order: the first signal arms the second. Without a handler the default ends the process, which
            // is safe too, only not as tidy.
            let _ =
                signal_hook::flag::register_conditional_shutdown(number, exit, Arc::clone(&armed));
            let _ = signal_hook::flag::register(number, armed);
            let _ = signal_hook::flag::register_usize(number, Arc::clone(&signal), value);
        }
        let bar = ui.draws_progress().then(|| {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        TerminalWatch { bar, signal }
    }
}

impl Watch for TerminalWatch {
    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tracing::info!("{text}")),
            None => tracing::info!("{text}"),
        }
    }

    fn warn(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tracing::warn!("{text}")),
            None => tracing::warn!("{text}"),
        }
    }

    fn step(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn epoch(&mut self, done: u64, total: u64, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("epoch {done}/{total}  {line}")),
            None => tracing::info!("epoch {done}/{total}  {line}"),
        }
    }

    fn stopped(&self) -> Option<Stop> {
        match i32::try_from(self.signal.load(Ordering::Relaxed)) {
            Ok(libc::SIGINT) => Some(Stop::Interrupt),
            Ok(libc::SIGTERM) => Some(Stop::Terminate),
            _ => None,
        }
    }
}

impl Drop for TerminalWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
