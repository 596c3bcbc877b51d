//! The one source of chance in a stand-in, so that a run can be repeated.
//!
//! Owns a splitmix64 sequence which `PUT /_fake/seed` starts anew. Identifiers, picture seeds and fault
//! draws come from it in the order of the requests: requests that race may swap their draws. Refuses any
//! cryptographic use.

use std::sync::Mutex;

/// A restartable sequence of numbers.
#[derive(Debug)]
pub struct Seeds {
    state: Mutex<u64>,
}

impl Seeds {
    pub fn new(seed: u64) -> Seeds {
        Seeds { state: Mutex::new(seed) }
    }

    /// Starts the sequence of `seed` from its beginning.
    pub fn restart(&self, seed: u64) {
        *self.state.lock().expect("no holder of the seed panics") = seed;
    }

    pub fn next(&self) -> u64 {
        let mut state = self.state.lock().expect("no holder of the seed panics");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the slight bias does not matter here.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Whether an event of this probability happens. Certain and impossible events draw nothing.
    pub fn happens(&self, probability: f64) -> bool {
        if probability >= 1.0 {
            return true;
        }
        probability > 0.0 && ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }
}
