//! The text in which replicas tell each other of offers that rest, a line each. It comes from outside: what is not
//! of this form, or says what no replica would, is counted and otherwise ignored.

use gallerist_routing::health::{OPENINGS_MAX, REST_TOLD_MS_MAX};

/// How long a probe is the turn of one replica, unless it says that it still makes it.
pub(super) const TURN_MS: u64 = 1_500;
/// Digits of a number that is a time: fewer than a script's numbers hold.
const DIGITS_MAX: usize = 15;
/// Hexadecimal digits of an offer's identity.
pub(super) const ID_DIGITS: usize = 32;
/// Hexadecimal digits of a replica's.
pub(super) const REPLICA_DIGITS: usize = 16;

/// Why an offer is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The provider asked to be left alone.
    Asked,
    /// Its breaker opened.
    Failed,
    /// A try succeeded after its breaker had opened.
    Well,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Why::Asked => "asked",
            Why::Failed => "failed",
            Why::Well => "well",
        }
    }
}

/// What is told of one offer. Times are milliseconds since 1970 of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub id: &'a str,
    /// Tells this from what was told of the offer before.
    pub at_ms: u64,
    /// Of what is well: until when that is told.
    pub rests_until_ms: u64,
    pub openings: u32,
    pub why: Why,
    pub teller: &'a str,
    /// Whose probe it is until `turn_until_ms`.
    pub prober: &'a str,
    pub turn_until_ms: u64,
}

/// The lines that are right, and how many are not.
pub(super) fn read(text: &[u8], server_ms: u64) -> (Vec<Line<'_>>, usize) {
    let (mut lines, mut wrong): (Vec<Line<'_>>, usize) = (Vec::new(), 0);
    for row in text.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
        let line = std::str::from_utf8(row).ok().and_then(|row| line(row, server_ms));
        match line.filter(|line| lines.iter().all(|earlier| earlier.id != line.id)) {
            Some(line) => lines.push(line),
            None => wrong += 1,
        }
    }
    (lines, wrong)
}

fn line(row: &str, server_ms: u64) -> Option<Line<'_>> {
    let mut words = row.split(' ');
    let mut next = || words.next();
    let line = Line {
        id: hexadecimal(next()?, ID_DIGITS)?,
        at_ms: number(next()?)?,
        rests_until_ms: number(next()?)?,
        openings: u32::try_from(number(next()?)?).ok()?,
        why: match next()? {
            "asked" => Why::Asked,
            "failed" => Why::Failed,
            "well" => Why::Well,
            _ => return None,
        },
        teller: hexadecimal(next()?, REPLICA_DIGITS)?,
        prober: hexadecimal(next()?, REPLICA_DIGITS)?,
        turn_until_ms: number(next()?)?,
    };
    // Further ahead is nothing that was told by the present clock.
    let may_be = next().is_none()
        && line.openings <= OPENINGS_MAX
        && line.at_ms.max(line.rests_until_ms) <= server_ms + REST_TOLD_MS_MAX
        && line.turn_until_ms <= line.rests_until_ms.max(server_ms) + TURN_MS;
    may_be.then_some(line)
}

fn number(word: &str) -> Option<u64> {
    let digits =
        !word.is_empty() && word.len() <= DIGITS_MAX && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())?
}

fn hexadecimal(word: &str, digits: usize) -> Option<&str> {
    (word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";
    const ONE: &str = "0123456789abcdef";

    #[test]
    fn a_line_is_read_as_it_was_told() {
        let text = format!("{ID} 900 6000 2 failed {ONE} {ONE} 7500\n");
        let (lines, wrong) = read(text.as_bytes(), 1_000);
        let line = Line {
            id: ID,
            at_ms: 900,
            rests_until_ms: 6_000,
            openings: 2,
            why: Why::Failed,
            teller: ONE,
            prober: ONE,
            turn_until_ms: 7_500,
        };
        assert_eq!((lines, wrong), (vec![line], 0));
        assert_eq!(read(b"", 1_000), (Vec::new(), 0));
    }

    #[test]
    fn what_no_replica_would_say_is_counted_and_ignored() {
        let right = format!("{ID} 900 6000 2 failed {ONE} {ONE} 7500");
        let wrong = [
            "?".to_owned(),
            right.replace("failed", "broken"),
            right.replace(" 2 ", " 17 "),
            right.replace(" 2 ", " -1 "),
            right.replace("900", "9000000000000000"),
            right.replace("6000", "601001"),
            right.replace("7500", "7501"),
            right.replace(ID, &ID[1..]),
            right.replace(ONE, "0123456789abcdeg"),
            format!("{right} "),
            right.replace(' ', "\t"),
        ];
        for wrong in &wrong {
            assert_eq!(read(wrong.as_bytes(), 1_000), (Vec::new(), 1), "{wrong}");
        }
        let all =
            [right.as_bytes(), b"\xff\xfe \x00", wrong.join("\n").as_bytes(), right.as_bytes()].join(&b'\n');
        let (lines, ignored) = read(&all, 1_000);
        assert_eq!(
            (lines.len(), ignored),
            (1, wrong.len() + 2),
            "the second of the same offer is wrong, too"
        );
    }
}
