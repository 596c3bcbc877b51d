//! The real program as a process: started in front of stand-ins, killed, ended.

use gallerist_pricing::Catalogue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const KEY: &str = "sk-client-of-the-test";
pub const ADMIN_KEY: &str = "sk-admin-of-the-test";

/// What clients ask for in turn: the route, a model of each stand-in, and one that several offer.
pub const MODELS: &[&str] = &[
    "auto",
    "openai/gpt-image-2",
    "google/gemini-3.1-flash-lite-image",
    "bfl/flux-2-klein-4b",
    "bfl/flux-2-pro",
    "stability/sd3.5-large",
    "fal/flux-2-pro",
    "flux-2-klein-4b",
    "automatic1111/sdxl",
];

/// Paths of the base URLs, as the vendors' SDKs would have them.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

/// What may go wrong besides: each call takes a while, so that some are always under way.
pub fn script(kind: &str) -> Value {
    let latency_ms = if kind == "bfl" || kind == "fal" { 400 } else { 120 };
    json!([
        {"fault": "latency", "ms": latency_ms},
        {"fault": "latency", "probability": 0.3, "ms": 300},
        {"fault": "reset_after", "probability": 0.02},
        {"fault": "429", "probability": 0.02, "retry_after_s": 0},
        {"fault": "blank", "probability": 0.02},
    ])
}

/// Where the stand-ins are, and the keys that they accept, by kind.
#[derive(Clone)]
pub struct Providers {
    pub origins: BTreeMap<String, String>,
    pub keys: BTreeMap<String, String>,
}

/// How a gateway is started.
#[derive(Clone)]
pub struct Start {
    pub program: PathBuf,
    /// Its data directory lies here, and its log.
    pub home: PathBuf,
    pub port: u16,
    /// A database that others share, instead of a file.
    pub store_url: Option<String>,
    /// Where rates are counted together with the others.
    pub redis_url: Option<String>,
}

impl Start {
    /// With the program that belongs to the test.
    pub fn at(home: &Path, port: u16) -> Start {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_gallerist"));
        Start { program, home: home.to_owned(), port, store_url: None, redis_url: None }
    }

    /// Starts it and waits until it listens; else what its log says.
    pub fn try_start(&self, providers: &Providers) -> Result<Gateway, String> {
        let mut command = Command::new(&self.program);
        command.env_clear().env("HOME", &self.home).current_dir(&self.home).args(["serve", "--json"]);
        command.env("GALLERIST_DATA_DIR", self.home.join("books"));
        command.env("GALLERIST_LISTEN", format!("127.0.0.1:{}", self.port));
        command.env("GALLERIST_API_KEY", KEY).env("GALLERIST_ADMIN_KEY", ADMIN_KEY);
        command.envs(self.store_url.as_ref().map(|url| ("GALLERIST_STORE_URL", url)));
        command.envs(self.redis_url.as_ref().map(|url| ("GALLERIST_REDIS_URL", url)));
        let catalogue = Catalogue::embedded();
        for (kind, origin) in &providers.origins {
            let path = PATHS.iter().find(|(known, _)| known == kind).map_or("", |(_, path)| path);
            command.env(format!("GALLERIST_{}_BASE_URL", kind.to_uppercase()), format!("{origin}{path}"));
            if let Some(variable) = catalogue.provider(kind).and_then(|sheet| sheet.key_variables.first()) {
                command.env(variable, &providers.keys[kind]);
            }
        }
        let path = self.home.join("log");
        let log = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut gateway = Gateway(child.expect("it can be run"));
        let mut line = String::new();
        BufReader::new(gateway.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        match serde_json::from_str::<Value>(&line) {
            Ok(_) => Ok(gateway),
            Err(_) => Err(format!("not ready: {line:?} {}", std::fs::read_to_string(path).unwrap())),
        }
    }

    /// As [`Start::try_start`]; it must start.
    pub fn start(&self, providers: &Providers) -> Gateway {
        self.try_start(providers).unwrap_or_else(|told| panic!("{told}"))
    }
}

/// A running gateway; killed when it is dropped.
pub struct Gateway(Child);

impl Gateway {
    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it in good order.
    pub fn end(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("/bin/kill").args(["-TERM", &id]).status().unwrap().success());
        let begun = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(40), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
