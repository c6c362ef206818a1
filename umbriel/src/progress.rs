//! What the tool is doing, while it takes time.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows steps on standard error: a spinner on a terminal, lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    spinner: Option<ProgressBar>,
    start: Instant,
}

impl Progress {
    /// Progress on standard error.
    pub fn new() -> Progress {
        let spinner = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Progress { spinner, start: Instant::now() }
    }

    /// A step begins.
    pub fn step(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(text.to_owned()),
            None => eprintln!("umbriel: {text} ({:.1} s)", self.start.elapsed().as_secs_f32()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
