//! When a delivery that failed is tried again: 5 seconds later, then four times as long each time, up to eight
//! hours; ten tries over about a day. A fifth more or less, so that many do not come back at once.

use jiff::SignedDuration;

/// Tries of one delivery.
const ATTEMPTS_MAX: u32 = 10;
const FIRST_PAUSE_MS: u64 = 5_000;
const FACTOR: u64 = 4;
const PAUSE_MS_MAX: u64 = 8 * 3_600_000;

/// The pause after a failed attempt, counted from 1; `None` after the last. A receiver may ask for a longer one,
/// within the longest. `random` is any number.
pub(super) fn pause(attempt: u32, asked_seconds: Option<u64>, random: u128) -> Option<SignedDuration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let grown = FACTOR.saturating_pow(attempt.saturating_sub(1)).saturating_mul(FIRST_PAUSE_MS);
    let middle = grown.min(PAUSE_MS_MAX);
    let asked = asked_seconds.unwrap_or(0).saturating_mul(1_000).min(PAUSE_MS_MAX);
    // From four fifths to six fifths.
    let width = middle * 2 / 5;
    let jitter = u64::try_from(random % u128::from(width + 1)).expect("it is at most the width");
    let pause_ms = (middle - width / 2 + jitter).max(asked);
    Some(SignedDuration::from_millis(i64::try_from(pause_ms).expect("it is some hours at most")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(attempt: u32, random: u128) -> Option<i64> {
        pause(attempt, None, random).map(|pause| pause.as_secs())
    }

    #[test]
    fn ten_tries_spread_over_about_a_day() {
        let least: Vec<i64> = (1..=12).map_while(|attempt| seconds(attempt, 0)).collect();
        assert_eq!(least, [4, 16, 64, 256, 1_024, 4_096, 16_384, 23_040, 23_040]);
        let hours = least.iter().sum::<i64>() * 5 / 4 / 3_600;
        assert!((20..=26).contains(&hours), "{hours} hours");
    }

    #[test]
    fn the_jitter_is_a_fifth_at_most_and_a_receiver_may_ask_for_more() {
        for random in [0, 1, 999, 123_456_789, u128::MAX] {
            let pause = pause(3, None, random).unwrap().as_millis();
            assert!((64_000..=96_000).contains(&pause), "{pause}");
        }
        assert_ne!(pause(3, None, 5), pause(3, None, 50));
        assert_eq!(pause(1, Some(120), 0).unwrap().as_secs(), 120);
        assert_eq!(pause(1, Some(u64::MAX), 0).unwrap().as_secs(), 28_800);
        assert_eq!(pause(10, Some(120), 0), None);
    }
}
