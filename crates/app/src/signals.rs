//! The signals that end a command: interrupt and terminate, the first politely, the second at once.

use crate::failure::{Failure, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, listened to from the moment it is made.
pub struct Ended {
    interrupt: Signal,
    terminate: Signal,
}

impl Ended {
    /// Begins to listen; from now on the signals no longer end the process by themselves.
    pub fn listen() -> Result<Ended> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::because("signals cannot be listened to", &error));
        Ok(Ended { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for a signal.
    pub async fn first(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
