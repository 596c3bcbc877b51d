//! Progress on standard error, for what takes more than a moment. Nothing without a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A line that moves and counts the seconds until it is finished.
pub fn spinner(text: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
        .expect("the template is sound")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(text.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
