//! How a command fails: a sentence, what to do next, and the exit code.
//!
//! 1 means that it could not be done, 2 that it was asked wrongly (a setting, an argument, a name that the closed
//! catalogue does not have, a file that is not there). Texts hold no
//! secret. It refuses to know what failed; each command says so where it happens.

use std::fmt;

pub type Result<T> = std::result::Result<T, Failure>;

/// What to do when a cap would be passed.
pub const RAISE_CAP: &str =
    "`gallerist projects list` shows the caps, `gallerist projects cap NAME USD` sets one";
/// What to do when no offer may serve a request.
pub const ASK_FOR_REASONS: &str =
    "`gallerist quote` with the same flags shows every offer, its price and what is against it";

/// Why a command ends without having done its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// What to do next; empty when the message says it.
    pub advice: String,
    /// 1 or 2.
    pub exit: u8,
}

impl Failure {
    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), advice: String::new(), exit: 1 }
    }

    /// It was asked wrongly.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), advice: String::new(), exit: 2 }
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Failure {
        self.advice = advice.into();
        self
    }

    /// An error with its causes: `what: error: its cause`.
    pub fn because(what: impl fmt::Display, error: &dyn std::error::Error) -> Failure {
        let mut message = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Failure::failed(message)
    }

    /// A file that the command line names and nobody can read.
    pub fn unreadable(file: impl fmt::Display, error: &std::io::Error) -> Failure {
        Failure { exit: 2, ..Failure::because(format!("{file} cannot be read"), error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n  try: {}", self.advice) }
    }
}

impl From<gallerist_store::StoreError> for Failure {
    fn from(error: gallerist_store::StoreError) -> Failure {
        use gallerist_store::StoreError as E;
        let advice = match &error {
            E::UnknownProject(_) => {
                "`gallerist projects list` names them, `gallerist projects create NAME` makes one"
            }
            E::UnknownWebhook(_) => "`gallerist webhooks list` shows the ids",
            E::UnknownLot(_) => "`gallerist credits list` shows the ids",
            E::LotMoved(_) => "`gallerist credits balance PROVIDER CREDITS` corrects what is left of them",
            E::UnknownAlert(_) => "`gallerist alerts list --json` shows the ids",
            E::UnknownKey(_) => "`gallerist keys list` shows the ids",
            E::UnknownRequest(_) => "`gallerist requests list` shows the ids",
            E::Locked(_) => "end the process that has it open, or name another data directory",
            E::Away(_) => {
                "see that the server runs and takes this user: GALLERIST_STORE_URL, else url of [store]"
            }
            E::TooNew { .. } => "use the newer version of gallerist",
            _ => "",
        };
        // As the gateway has it: what is out of its range was asked wrongly, and the books have no part in it.
        match error {
            E::Invalid(message) => Failure::usage(message),
            error => Failure::because("the books", &error).advise(advice),
        }
    }
}
