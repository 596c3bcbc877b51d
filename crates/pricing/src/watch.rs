//! What the figures foretell: a cap that is reached too soon, a price that moved, an end that comes near, a
//! cost that left its usual range, a feed that cannot be relied on,
//! a balance that is another than the books'.
//!
//! Each is a pure function of figures and an instant; `engine/src/watch.rs` brings the figures and tells people.
//! It refuses to say anything from too little: each question states what it needs before it answers.

pub mod anomaly;
pub mod drift;
pub mod ends;
pub mod feeds;
pub mod prices;
pub mod projection;
