//! Faithful stand-ins of image providers: they check like the provider, bill like the provider, fail like it.
//!
//! Each protocol is a module with a `router`; the rest is the frame around it: [`Fakes`] starts them,
//! [`Ctx`] is what a module works with, `/_fake/…` is where tests reach in. They are built from what the
//! providers publish and share no code with our own adapters or prices, so that both can be wrong in
//! different places. Pictures are real, and say on their face that they are not.
//!
//! Where to look: `fakes.rs` (starting), `faults.rs` (what can go wrong), `bill.rs` (what it costs),
//! `openai.rs` and its neighbours (how each one speaks).

mod admin;
pub mod automatic1111;
pub mod bfl;
mod bill;
mod ctx;
mod fakes;
pub mod fal;
mod faults;
mod feeds;
pub mod google;
mod in_process;
pub mod money;
pub mod openai;
pub mod picture;
mod seeds;
pub mod stability;
mod stand_in;
mod studio;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
pub mod wire;

pub use bill::{Bill, BillEntry};
pub use ctx::{Ctx, Motif};
pub use fakes::{FAMILIES, Fakes, FakesOptions, Family};
pub use faults::{COMMON, Drawn, Fault, Faults};
pub use in_process::InProcess;
pub use picture::{Picture, PictureFormat};
pub use seeds::Seeds;
pub use stand_in::StandIn;
