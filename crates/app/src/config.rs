//! Settings: what was written (`typed.rs`), what the environment adds (`environment.rs`), and the checked
//! result.
//!
//! Every mistake of the file, the environment and the catalogue directory is reported together, with file
//! and line or the variable's name. Without any settings the providers are those whose customary key
//! variables are set (`providers.rs`). Keys come from variables and files alone and are never printed.

pub mod environment;
pub mod feeds;
pub(crate) mod providers;
mod typed;

#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use providers::everything;

use crate::failure::{Failure, Result};
use gallerist_domain::{OfferId, Ticks};
use gallerist_engine::{Limits, ProviderSettings};
use gallerist_imaging::Depth;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::FeedBook;
use gallerist_pricing::{Catalogue, ConfiguredProvider, Offer, served_offers};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use typed::Typed;

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
    pub data_dir: PathBuf,
    pub catalogue: Arc<Catalogue>,
    /// What the catalogue is read from.
    pub origin: Origin,
    pub providers: Vec<ProviderSettings>,
    pub baseline: Option<OfferId>,
    pub limits: Limits,
    pub check_depth: Depth,
    pub moderation_failover: bool,
    /// Cap of the project `default`, set at each start of the gateway.
    pub cap: Option<Ticks>,
    /// Where prices are polled.
    pub feeds: Vec<feeds::Feed>,
    /// What earlier polls told; its accepted prices are part of the catalogue.
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
        let mut mistakes = Mistakes::default();
        let path = place.config.clone().or_else(|| environment.path("GALLERIST_CONFIG"));
        let typed = path.as_deref().map_or_else(Typed::default, |path| read(path, &mut mistakes));
        let catalogue_dir = typed.catalogue_dir.as_ref().map(|dir| dir.value.clone());
        let origin =
            Origin { directory: catalogue_dir, described: typed.catalogue_described.unwrap_or(false) };
        let data_dir = data_dir(place, &typed, environment, &mut mistakes);
        let feed_book = feeds::book(&data_dir, &mut mistakes);
        let catalogue = catalogue(&origin, &mut mistakes).with_feeds(&feed_book);
        let mut remarks = Vec::new();
        let providers = providers::switched_on(&typed, &catalogue, environment, &mut mistakes, &mut remarks);
        let config = Config {
            listen: listen(&typed, environment, &mut mistakes),
            data_dir,
            baseline: baseline(&typed, &catalogue, &providers, &mut mistakes),
            limits: limits(&typed, &mut mistakes),
            check_depth: check_depth(&typed, &mut mistakes),
            moderation_failover: typed.moderation_failover.unwrap_or(false),
            cap: cap(&typed, &mut mistakes),
            catalogue: Arc::new(catalogue),
            origin,
            providers,
            feeds: feeds::feeds(&typed.feeds, environment, &mut mistakes),
            feed_book,
            remarks,
        };
        if mistakes.0.is_empty() { Ok(config) } else { Err(mistakes.into_failure()) }
    }

    /// Everything that has a price, also what cannot be ordered yet.
    ///
    /// # Errors
    /// Mistakes in files that are needed for prices alone.
    pub fn whole_catalogue(&self) -> Result<Catalogue> {
        let whole = self.origin.whole().map(|catalogue| catalogue.with_feeds(&self.feed_book));
        whole.map_err(|mistakes| {
            let list: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::usage(format!("there are mistakes in the catalogue\n  {}", list.join("\n  ")))
        })
    }

    /// What the configured providers offer.
    pub fn offers(&self) -> Vec<Offer> {
        let configured: Vec<ConfiguredProvider> = self
            .providers
            .iter()
            .map(|provider| ConfiguredProvider {
                name: provider.name.clone(),
                kind: provider.kind.clone(),
                region: provider.region.clone(),
            })
            .collect();
        served_offers(&self.catalogue, &configured)
    }
}

fn read(path: &Path, mistakes: &mut Mistakes) -> Typed {
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

fn listen(typed: &Typed, environment: &Environment, mistakes: &mut Mistakes) -> String {
    let (place, address) = match (environment.get("GALLERIST_LISTEN"), &typed.listen) {
        (Some(address), _) => ("GALLERIST_LISTEN".to_owned(), address),
        (None, Some(written)) => (written.place.clone(), written.value.clone()),
        (None, None) => return LISTEN_DEFAULT.to_owned(),
    };
    let sound =
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !sound {
        mistakes.add(place, format!("{address:?} is no address: write HOST:PORT, such as {LISTEN_DEFAULT}"));
    }
    address
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

fn baseline(
    typed: &Typed,
    catalogue: &Catalogue,
    providers: &[ProviderSettings],
    mistakes: &mut Mistakes,
) -> Option<OfferId> {
    let written = typed.baseline.as_ref()?;
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

fn limits(typed: &Typed, mistakes: &mut Mistakes) -> Limits {
    let mut limits = Limits::default();
    if let Some(written) = &typed.deadline_ms {
        if !(1_000..=DEADLINE_MS_MAX).contains(&written.value) {
            mistakes.add(&written.place, format!("deadline_ms is 1000 to {DEADLINE_MS_MAX} milliseconds"));
        }
        limits.deadline_ms = written.value;
    }
    limits.webhooks_private = typed.webhooks_private.unwrap_or(false);
    limits
}

fn check_depth(typed: &Typed, mistakes: &mut Mistakes) -> Depth {
    match typed.check.as_ref().map(|written| (written, written.value.as_str())) {
        None | Some((_, "header")) => Depth::Header,
        Some((_, "pixels")) => Depth::Pixels,
        Some((written, word)) => {
            mistakes.add(&written.place, format!("check is \"header\" or \"pixels\", not {word:?}"));
            Depth::Header
        }
    }
}

fn cap(typed: &Typed, mistakes: &mut Mistakes) -> Option<Ticks> {
    let written = typed.cap_usd.as_ref()?;
    match written.value.parse::<Ticks>() {
        Ok(cap) if !cap.is_negative() => Some(cap),
        Ok(_) => {
            mistakes.add(&written.place, "cap_usd is not negative");
            None
        }
        Err(error) => {
            mistakes.add(&written.place, error);
            None
        }
    }
}
