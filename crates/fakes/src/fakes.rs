//! All stand-ins together: one call starts them, one ends them.
//!
//! Owns the list of families (a line per protocol) and the options of a run. Used by tests, the demo, the
//! benchmarks and whoever wants to try a client without spending money. Next: `stand_in.rs` for how one runs,
//! `openai.rs` for how one speaks.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::automatic1111;
use crate::bfl;
use crate::ctx::Ctx;
use crate::fal;
use crate::faults::Faults;
use crate::google;
use crate::openai;
use crate::stability;
use crate::stand_in::StandIn;
use crate::tls::Certificate;

/// What makes a protocol module a stand-in.
pub struct Family {
    pub kind: &'static str,
    /// Its own faults, exclusive like the common ones.
    pub faults: &'static [&'static str],
    /// Its own faults that combine with others.
    pub manners: &'static [&'static str],
    /// How long an answer takes at 100 % latency.
    pub latency_ms: u64,
    pub router: fn(Arc<Ctx>) -> Router,
}

/// Every protocol that exists; a new one is a module and a line here.
pub const FAMILIES: &[Family] = &[
    Family {
        kind: openai::KIND,
        faults: openai::FAULTS,
        manners: openai::MANNERS,
        latency_ms: openai::LATENCY_MS,
        router: openai::router,
    },
    Family {
        kind: bfl::KIND,
        faults: bfl::FAULTS,
        manners: bfl::MANNERS,
        latency_ms: bfl::LATENCY_MS,
        router: bfl::router,
    },
    Family {
        kind: google::KIND,
        faults: google::FAULTS,
        manners: google::MANNERS,
        latency_ms: google::LATENCY_MS,
        router: google::router,
    },
    Family {
        kind: stability::KIND,
        faults: stability::FAULTS,
        manners: stability::MANNERS,
        latency_ms: stability::LATENCY_MS,
        router: stability::router,
    },
    Family {
        kind: fal::KIND,
        faults: fal::FAULTS,
        manners: fal::MANNERS,
        latency_ms: fal::LATENCY_MS,
        router: fal::router,
    },
    Family {
        kind: automatic1111::KIND,
        faults: automatic1111::FAULTS,
        manners: automatic1111::MANNERS,
        latency_ms: automatic1111::LATENCY_MS,
        router: automatic1111::router,
    },
];

/// How to start them.
#[derive(Clone, Debug)]
pub struct FakesOptions {
    /// Start of every stand-in's chance.
    pub seed: u64,
    /// Address to listen on.
    pub host: String,
    /// Fixed ports by kind; any free one otherwise (or for 0).
    pub ports: BTreeMap<String, u16>,
    /// Keys by kind; `fake-KIND-key` otherwise.
    pub keys: BTreeMap<String, String>,
    /// Only these kinds; all when absent.
    pub kinds: Option<Vec<String>>,
    /// Serve TLS too, on any free port each, and write the authority to trust (PEM) here.
    pub tls_pem: Option<PathBuf>,
    /// Share of each stand-in's usual latency; 0 answers at once.
    pub latency_percent: u32,
    /// Start of the stand-ins' clock; the wall clock when absent.
    pub now: Option<Timestamp>,
}

impl Default for FakesOptions {
    fn default() -> FakesOptions {
        FakesOptions {
            seed: 1,
            host: "127.0.0.1".to_owned(),
            ports: BTreeMap::new(),
            keys: BTreeMap::new(),
            kinds: None,
            tls_pem: None,
            latency_percent: 0,
            now: None,
        }
    }
}

/// The running stand-ins.
#[derive(Debug)]
pub struct Fakes {
    stand_ins: Vec<StandIn>,
}

impl Fakes {
    /// Starts them; when one cannot listen, none keeps running.
    pub async fn start(options: FakesOptions) -> io::Result<Fakes> {
        let certificate = match &options.tls_pem {
            None => None,
            Some(path) => {
                let certificate = Certificate::make(&options.host)?;
                std::fs::write(path, &certificate.pem)?;
                Some(certificate)
            }
        };
        check_kinds(&options)?;
        let wanted = |kind: &str| options.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|k| k == kind));
        let mut stand_ins = Vec::new();
        for family in FAMILIES.iter().filter(|family| wanted(family.kind)) {
            stand_ins.push(start_one(family, &options, certificate.as_ref()).await?);
        }
        Ok(Fakes { stand_ins })
    }

    /// Origin without a path of each kind.
    pub fn origins(&self) -> BTreeMap<String, String> {
        self.stand_ins.iter().map(|one| (one.kind.to_owned(), one.origin.clone())).collect()
    }

    /// TLS origin of each kind; empty without TLS.
    pub fn tls_origins(&self) -> BTreeMap<String, String> {
        let with_tls = self.stand_ins.iter().filter_map(|one| Some((one.kind, one.tls_origin.clone()?)));
        with_tls.map(|(kind, origin)| (kind.to_owned(), origin)).collect()
    }

    /// The key that each kind accepts.
    pub fn keys(&self) -> BTreeMap<String, String> {
        self.stand_ins.iter().map(|one| (one.kind.to_owned(), one.key.clone())).collect()
    }

    pub fn get(&self, kind: &str) -> Option<&StandIn> {
        self.stand_ins.iter().find(|one| one.kind == kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = &StandIn> {
        self.stand_ins.iter()
    }

    /// Sum of all bills.
    pub fn billed_ticks(&self) -> i64 {
        self.stand_ins.iter().map(|one| one.ctx.bill.total_ticks()).sum()
    }

    pub async fn shutdown(self) {
        for stand_in in self.stand_ins {
            stand_in.shutdown().await;
        }
    }
}

/// A misspelt kind would otherwise start nothing, silently.
fn check_kinds(options: &FakesOptions) -> io::Result<()> {
    let named = options.kinds.iter().flatten().chain(options.ports.keys()).chain(options.keys.keys());
    for kind in named {
        if !FAMILIES.iter().any(|family| family.kind == kind) {
            let known: Vec<_> = FAMILIES.iter().map(|family| family.kind).collect();
            let complaint = format!("no stand-in is called {kind:?}; there are {}", known.join(", "));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
        }
    }
    Ok(())
}

async fn start_one(
    family: &Family,
    options: &FakesOptions,
    certificate: Option<&Certificate>,
) -> io::Result<StandIn> {
    let port = options.ports.get(family.kind).copied().unwrap_or(0);
    let listener = TcpListener::bind((options.host.as_str(), port)).await?;
    let tls = match certificate {
        None => None,
        Some(certificate) => {
            let tls_listener = TcpListener::bind((options.host.as_str(), 0)).await?;
            Some((tls_listener, certificate.acceptor.clone()))
        }
    };
    let faults = Faults::new(family.faults, family.manners);
    let latency_ms = family.latency_ms * u64::from(options.latency_percent) / 100;
    let mut ctx = Ctx::new(family.kind, faults, options.seed, latency_ms, options.now);
    ctx.origin = format!("http://{}", listener.local_addr()?);
    if let Some(key) = options.keys.get(family.kind) {
        ctx.key = key.clone();
    }
    let ctx = Arc::new(ctx);
    StandIn::start(Arc::clone(&ctx), (family.router)(ctx), listener, tls)
}

#[cfg(test)]
mod tests;
