//! The words of the trade, as types: money, requests, calls, outcomes, faults, events.
//!
//! This room owns what every other room speaks about and nothing that acts. It refuses input and
//! output, async run-times, untyped JSON and the time of day (a [`Clock`] is passed in).
//!
//! Glossary: a *request* is what a client asked; an *offer* is one provider's way to serve a model at
//! a tier; a *call* is the complete, explicit instruction for one provider call; an *attempt* is one
//! paid or unpaid try at an offer; an *outcome* is what came back; a *charge* is what it cost; a
//! *reservation* holds a quote's maximum until *settlement* or release; *disputed* means that nobody
//! knows yet. Next: [`money`] for what a cent is, [`request`] for what can be asked, [`fault`] for what
//! can go wrong.

#![deny(clippy::float_arithmetic, clippy::disallowed_types)]

pub mod access;
pub mod address;
pub mod alert;
pub mod budget;
pub mod call;
pub mod capability;
pub mod clock;
pub mod credits;
pub mod depth;
pub mod fault;
pub mod held;
pub mod id;
pub mod meter;
pub mod money;
pub mod outcome;
pub mod payer;
pub mod request;

pub use access::{Allowance, Grants, RateLimits, Scope, Scopes};
pub use address::is_public_address;
pub use alert::{AlertFact, BudgetRefusal, BudgetStanding, KindFilter, NewAlert, Severity};
pub use budget::{Budget, BudgetFault, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Spending};
pub use call::ImageCall;
pub use capability::{Capabilities, PictureLimits, RatioSize, Sizes};
pub use clock::{Clock, FixedClock, SystemClock};
pub use credits::{FeeRule, Lot};
pub use depth::Depth;
pub use fault::{Billed, Blame, ChargeEvent, Fault, FaultKind, Retry};
pub use held::Chunks;
pub use id::{
    AlertId, AttemptId, AuditId, BudgetId, LotId, OfferId, ProjectId, ReconciliationId, RequestId, WebhookId,
};
pub use meter::{Meter, Metered};
pub use money::{Decimal, MoneyError, Price, Ticks};
pub use outcome::{ImageData, MadeImage, Outcome, ReportedCost};
pub use payer::Payer;
pub use request::{
    Background, ImageRequest, Ingredients, Moderation, Objective, Operation, OptionWord, OutputFormat,
    QualityClass, ResponseFormat, Size, SizeChoice, SizeMatch, TierChoice,
};
