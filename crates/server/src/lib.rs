//! HTTP in.
pub mod wire;
