//! Settings: what was written (`typed.rs`), what the environment adds (`environment.rs`), and the checked
//! result.
//!
//! Every mistake of the file, the environment and the catalogue directory is reported together, with file
//! and line or the variable's name. Without any settings the providers are those whose customary key
//! variables are set (`providers.rs`). Keys come from variables and files alone and are never printed.

pub mod environment;
pub mod feeds;
pub(crate) mod providers;
mod routes;
mod typed;

#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use providers::everything;

use crate::failure::{Failure, Result};
use feeds::Heard;
use gallerist_domain::{Depth, OfferId, Ticks};
use gallerist_engine::feeds::Feed;
use gallerist_engine::{Limits, ProviderSettings};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::FeedBook;
use gallerist_pricing::{Catalogue, Offer, served_offers};
use gallerist_routing::NameBook;
use gallerist_store::counters::CountersUrl;
use gallerist_store::{RETENTION_DAYS_MIN, StoreOptions, StoreUrl};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use typed::{Typed, Written};

/// Where the gateway listens unless it is told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Longest life of a request that can be asked for, in milliseconds.
const DEADLINE_MS_MAX: u64 = 3_600_000;

/// Where settings and books are; flags that several commands share.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Settings file (TOML); else the one that GALLERIST_CONFIG names, else none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the books; else GALLERIST_DATA_DIR, else ~/.local/share/gallerist
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HOST:PORT`.
    pub listen: String,
    /// Where clients reach it, as `https://images.example`; absent: where their requests say that they did.
    pub public_url: Option<String>,
    pub data_dir: PathBuf,
    /// The database that holds the books instead of `data_dir`.
    pub store_url: Option<StoreUrl>,
    /// Where several gateways count rates together and tell each other which offers rest.
    pub redis_url: Option<CountersUrl>,
    /// What can be ordered, with the accepted prices of feeds.
    pub catalogue: Arc<Catalogue>,
    /// The same without feeds.
    pub base: Arc<Catalogue>,
    /// What the catalogue is read from.
    pub origin: Origin,
    pub providers: Vec<ProviderSettings>,
    /// Routes and migrations.
    pub names: NameBook,
    /// This and the two checks below are those of every route that does not say otherwise.
    pub baseline: Option<OfferId>,
    pub limits: Limits,
    pub check_depth: Depth,
    pub moderation_failover: bool,
    /// Whether prompts are stored with their requests.
    pub store_prompts: bool,
    /// Cap of the project `default`, set at each start of the gateway.
    pub cap: Option<Ticks>,
    /// Where prices are polled.
    pub feeds: Vec<Feed>,
    /// What earlier polls had told when the settings were read; its accepted prices are part of the catalogue.
    pub feed_book: FeedBook,
    /// What a person should know although it is no mistake.
    pub remarks: Vec<String>,
}

/// Collects what is wrong, each with its place.
#[derive(Default)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    pub(crate) fn add(&mut self, place: impl std::fmt::Display, message: impl std::fmt::Display) {
        self.0.push(format!("{place}: {message}"));
    }

    fn into_failure(mut self) -> Failure {
        self.0.sort_by_key(|mistake| line_of(mistake));
        let count = match self.0.len() {
            1 => "there is a mistake in the settings".to_owned(),
            count => format!("there are {count} mistakes in the settings"),
        };
        Failure::usage(format!("{count}\n  {}", self.0.join("\n  ")))
    }
}

/// File and line of a mistake; what has no line comes first, in its own order.
fn line_of(mistake: &str) -> Option<(String, u32)> {
    let mut parts = mistake.splitn(3, ':');
    let (file, line) = (parts.next()?, parts.next()?.parse().ok()?);
    Some((file.to_owned(), line))
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// One failure that names every mistake.
    pub fn load(place: &Place, environment: &Environment) -> Result<Config> {
        Config::read(place, environment, Heard::Configured)
    }

    /// As [`Config::load`], for whoever only wants to know prices: without configured feeds those count that told
    /// the books of this place something, and with `catalogue_only` none at all. Changes nothing there.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_to_read(place: &Place, environment: &Environment, catalogue_only: bool) -> Result<Config> {
        let heard = if catalogue_only { Heard::Nobody } else { Heard::Told };
        Config::read(place, environment, heard)
    }

    fn read(place: &Place, environment: &Environment, heard: Heard) -> Result<Config> {
        let mut mistakes = Mistakes::default();
        let path = place.config.clone().or_else(|| environment.path("GALLERIST_CONFIG"));
        let typed = path.as_deref().map_or_else(Typed::default, |path| typed(path, &mut mistakes));
        let catalogue_dir = catalogue_dir(&typed, &mut mistakes);
        let origin =
            Origin { directory: catalogue_dir, described: typed.catalogue_described.unwrap_or(false) };
        let data_dir = data_dir(place, &typed, environment, &mut mistakes);
        let feeds = feeds::feeds(&typed.feeds, environment, &mut mistakes);
        let base = catalogue(&origin, &mut mistakes);
        let store_url: Option<StoreUrl> = address(
            ("GALLERIST_STORE_URL", "the address of the store"),
            typed.store_url.as_ref(),
            environment,
            &mut mistakes,
        );
        let mut remarks = Vec::new();
        let at = feeds::At { data_dir: &data_dir, store_url: store_url.as_ref() };
        feeds::note_unknown_lines(&feeds, &base, &origin, Timestamp::now(), &mut remarks);
        let feed_book = feeds::book(at, heard, &feeds, &base, &mut mistakes, &mut remarks);
        let catalogue = base.with_feeds(&feed_book);
        let kinds = origin.kinds();
        let providers =
            providers::switched_on(&typed, &catalogue, &kinds, environment, &mut mistakes, &mut remarks);
        let on = served(&catalogue, &providers);
        let names = routes::names(&typed, &catalogue, &providers, &on, &mut mistakes, &mut remarks);
        remarks.extend(environment::slips(environment, &kinds, &typed.variables()));
        let config = Config {
            listen: listen(&typed, environment, &mut mistakes),
            public_url: public_url(&typed, environment, &mut mistakes),
            data_dir,
            store_url,
            redis_url: address(
                ("GALLERIST_REDIS_URL", "the address of the Redis server"),
                typed.redis_url.as_ref(),
                environment,
                &mut mistakes,
            ),
            baseline: offer_id(typed.baseline.as_ref(), &catalogue, &providers, &mut mistakes),
            names,
            limits: limits(&typed, &mut mistakes),
            check_depth: depth(typed.check.as_ref(), &mut mistakes).unwrap_or_default(),
            moderation_failover: typed.moderation_failover.unwrap_or(false),
            store_prompts: typed.store_prompts.unwrap_or(false),
            cap: amount(typed.cap_usd.as_ref(), "cap_usd", &mut mistakes),
            catalogue: Arc::new(catalogue),
            base: Arc::new(base),
            origin,
            providers,
            feeds,
            feed_book,
            remarks,
        };
        if mistakes.0.is_empty() { Ok(config) } else { Err(mistakes.into_failure()) }
    }

    /// How the books are opened.
    pub fn store_options(&self, now: Timestamp) -> StoreOptions {
        StoreOptions { url: self.store_url.clone(), ..StoreOptions::new(&self.data_dir, now) }
    }

    /// Everything that has a price, also what cannot be ordered yet.
    ///
    /// # Errors
    /// Mistakes in files that are needed for prices alone.
    pub fn whole_catalogue(&self) -> Result<Catalogue> {
        self.whole_base().map(|catalogue| catalogue.with_feeds(&self.feed_book))
    }

    /// As [`Config::whole_catalogue`], without feeds.
    ///
    /// # Errors
    /// As [`Config::whole_catalogue`].
    pub fn whole_base(&self) -> Result<Catalogue> {
        self.origin.whole().map_err(|mistakes| {
            let list: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::usage(format!("there are mistakes in the catalogue\n  {}", list.join("\n  ")))
        })
    }

    /// What the configured providers offer.
    pub fn offers(&self) -> Vec<Offer> {
        served(&self.catalogue, &self.providers)
    }
}

fn served(catalogue: &Catalogue, providers: &[ProviderSettings]) -> Vec<Offer> {
    let configured: Vec<_> = providers.iter().map(ProviderSettings::configured).collect();
    served_offers(catalogue, &configured)
}

fn typed(path: &Path, mistakes: &mut Mistakes) -> Typed {
    match std::fs::read_to_string(path) {
        Ok(text) => typed::read(&path.display().to_string(), &text, mistakes),
        Err(error) => {
            mistakes.add(path.display(), format!("cannot be read: {error}"));
            Typed::default()
        }
    }
}

fn catalogue(origin: &Origin, mistakes: &mut Mistakes) -> Catalogue {
    origin.served().unwrap_or_else(|found| {
        for mistake in found {
            let file = origin.directory.as_deref().unwrap_or(Path::new("")).join(&mistake.file);
            mistakes.add(format!("{}:{}", file.display(), mistake.line), mistake.message);
        }
        Catalogue::embedded()
    })
}

/// Whether it is `HOST:PORT`.
pub fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn listen(typed: &Typed, environment: &Environment, mistakes: &mut Mistakes) -> String {
    let (place, address) = match (environment.get("GALLERIST_LISTEN"), &typed.listen) {
        (Some(address), _) => ("GALLERIST_LISTEN".to_owned(), address),
        (None, Some(written)) => (written.place.clone(), written.value.clone()),
        (None, None) => return LISTEN_DEFAULT.to_owned(),
    };
    if !is_address(&address) {
        mistakes.add(place, format!("{address:?} is no address: write HOST:PORT, such as {LISTEN_DEFAULT}"));
    }
    address
}

/// Where clients reach the gateway, for the addresses of pictures; without a slash at its end.
fn public_url(typed: &Typed, environment: &Environment, mistakes: &mut Mistakes) -> Option<String> {
    const VARIABLE: &str = "GALLERIST_PUBLIC_URL";
    let (place, text) = match (environment.get(VARIABLE), &typed.public_url) {
        (Some(text), _) => (VARIABLE.to_owned(), text),
        (None, Some(written)) => (written.place.clone(), written.value.clone()),
        (None, None) => return None,
    };
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(['?', '#', ' ', '@']))
    {
        mistakes.add(place, format!("{text:?} is no address such as https://images.example"));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// The folder of own catalogue files. One that cannot be read is a mistake of the setting, not of a file in it.
fn catalogue_dir(typed: &Typed, mistakes: &mut Mistakes) -> Option<PathBuf> {
    let dir = typed.catalogue_dir.as_ref()?;
    match std::fs::read_dir(&dir.value) {
        Ok(_) => Some(dir.value.clone()),
        Err(error) => {
            mistakes
                .add(&dir.place, format!("catalogue_dir: {} cannot be read: {error}", dir.value.display()));
            None
        }
    }
}

fn data_dir(place: &Place, typed: &Typed, environment: &Environment, mistakes: &mut Mistakes) -> PathBuf {
    let named = place
        .data_dir
        .clone()
        .or_else(|| environment.path("GALLERIST_DATA_DIR"))
        .or_else(|| typed.data_dir.as_ref().map(|dir| dir.value.clone()));
    let customary = || {
        let share = environment.path("XDG_DATA_HOME").filter(|path| path.is_absolute());
        share
            .or_else(|| Some(environment.path("HOME")?.join(".local/share")))
            .map(|dir| dir.join("gallerist"))
    };
    named.or_else(customary).unwrap_or_else(|| {
        mistakes.add("GALLERIST_DATA_DIR", "there is no home directory: set it to a folder for the books");
        PathBuf::new()
    })
}

/// An address by its variable, else by its entry. It may hold a password, so no mistake shows it.
fn address<Url: FromStr<Err = &'static str>>(
    (variable, words): (&str, &str),
    typed: Option<&Written<String>>,
    environment: &Environment,
    mistakes: &mut Mistakes,
) -> Option<Url> {
    let (place, text) = match (environment.get(variable), typed) {
        (Some(text), _) => (variable.to_owned(), text),
        (None, Some(written)) => (written.place.clone(), written.value.clone()),
        (None, None) => return None,
    };
    match text.parse() {
        Ok(url) => Some(url),
        Err(wrong) => {
            mistakes.add(place, format!("{words} {wrong}"));
            None
        }
    }
}

/// The offer that a setting names.
fn offer_id(
    written: Option<&Written<String>>,
    catalogue: &Catalogue,
    providers: &[ProviderSettings],
    mistakes: &mut Mistakes,
) -> Option<OfferId> {
    let written = written?;
    let id = match written.value.parse::<OfferId>() {
        Ok(id) => id,
        Err(error) => {
            mistakes.add(&written.place, error);
            return None;
        }
    };
    let kind = providers.iter().find(|provider| provider.name == id.provider);
    let kind = kind.map_or(id.provider.as_str(), |provider| provider.kind.as_str());
    let known = catalogue
        .provider(kind)
        .is_some_and(|sheet| sheet.models.iter().any(|model| model.is_named(&id.model)));
    if !known {
        let advice = "`gallerist prices list` shows what there is";
        mistakes.add(&written.place, format!("the catalogue has no offer {id}: {advice}"));
    }
    Some(id)
}

/// A hundred years.
const RETENTION_DAYS_MAX: u32 = 36_500;

/// A week.
const BALANCE_MINUTES_MAX: u32 = 10_080;

fn limits(typed: &Typed, mistakes: &mut Mistakes) -> Limits {
    let mut limits = Limits::default();
    if let Some(written) = &typed.deadline_ms {
        if !(1_000..=DEADLINE_MS_MAX).contains(&written.value) {
            mistakes.add(&written.place, format!("deadline_ms is 1000 to {DEADLINE_MS_MAX} milliseconds"));
        }
        limits.deadline_ms = written.value;
    }
    if let Some(written) = &typed.retention_days {
        if !(RETENTION_DAYS_MIN..=RETENTION_DAYS_MAX).contains(&written.value) {
            let range = format!("retention_days is {RETENTION_DAYS_MIN} to {RETENTION_DAYS_MAX} days");
            mistakes.add(&written.place, range);
        }
        limits.retention_days = Some(written.value);
    }
    if let Some(written) = &typed.balance_minutes {
        if written.value > BALANCE_MINUTES_MAX {
            let range = format!("balance_minutes is 0 (never) to {BALANCE_MINUTES_MAX} minutes");
            mistakes.add(&written.place, range);
        }
        limits.balance_every_ms = (written.value > 0).then(|| u64::from(written.value) * 60_000);
    }
    if let Some(drift) = amount(typed.credits_drift_usd.as_ref(), "drift_usd", mistakes) {
        limits.credits_drift = drift;
    }
    limits.webhooks_private = typed.webhooks_private.unwrap_or(false);
    limits
}

/// How deep pictures are checked, where a setting says.
fn depth(written: Option<&Written<String>>, mistakes: &mut Mistakes) -> Option<Depth> {
    let written = written?;
    let depth = Depth::from_word(&written.value);
    if depth.is_none() {
        let word = &written.value;
        mistakes.add(&written.place, format!("check is \"header\" or \"pixels\", not {word:?}"));
    }
    depth
}

/// An amount of dollars.
fn amount(written: Option<&Written<String>>, field: &str, mistakes: &mut Mistakes) -> Option<Ticks> {
    let written = written?;
    match written.value.parse::<Ticks>() {
        Ok(amount) if !amount.is_negative() => Some(amount),
        Ok(_) => {
            mistakes.add(&written.place, format!("{field} is not negative"));
            None
        }
        Err(error) => {
            mistakes.add(&written.place, format!("{field}: {error}"));
            None
        }
    }
}
