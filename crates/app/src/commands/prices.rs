//! `gallerist prices`: what the catalogue says, and whether its files are sound.
//!
//! `list` is one line a model, `show` every price line of a model at every host (`show.rs`), `check` every
//! mistake of a folder of catalogue files at once, `import` reads other people's price lists (`import.rs`). All
//! of it works offline.

mod ahead;
mod changes;
mod import;
mod retirements;
mod show;
pub mod source;
mod sync;

use crate::config::{Config, Environment, Place, everything};
use crate::failure::{Failure, Result};
use crate::names;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{Grants, ImageRequest, Operation, QualityClass, Size};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::FeedBook;
use gallerist_pricing::{Catalogue, Offer, ProviderSheet, offers};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::name_book::PLAIN;
use gallerist_routing::report::{OfferQuote, quotes};
use gallerist_routing::{HealthBook, PlanContext, Target};
use jiff::Timestamp;
use serde_json::{Value, json};
use source::PriceSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "Examples:
  gallerist prices list
  gallerist prices show flux-2-pro
  gallerist prices changes --since 2026-09-01
  gallerist prices check ./my-catalogue
  gallerist prices import model_prices.json --format litellm --compare";

const IMPORT_EXAMPLES: &str = "Examples:
  gallerist prices import model_prices.json --format litellm --compare
  gallerist prices import openai.json --format portkey
  gallerist prices import models.json --format openrouter --write ./my-catalogue";

/// What costs what, since when, from which source
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PricesCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The models that can be ordered, with the price of their default picture at each host; --all for every one
    #[command(
        after_help = "Examples:\n  gallerist prices list --at 2027-01-01\n  gallerist prices list --all --model flux-2-pro"
    )]
    List {
        /// Also what is priced only, retired or switched off; always with --json
        #[arg(long)]
        all: bool,
        /// Only this kind of provider
        #[arg(long, value_name = "KIND")]
        provider: Option<String>,
        /// Only this model: a name or alias, also as provider/model, model@version or model#tier
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
        /// Prices at this instant or day (UTC) [default: now]
        #[arg(long, value_name = "WHEN", value_parser = super::instant)]
        at: Option<Timestamp>,
        #[command(flatten)]
        source: PriceSource,
    },
    /// Every price line of a model, at each of its hosts
    #[command(after_help = "Example:\n  gallerist prices show gpt-image-2")]
    Show {
        /// Canonical name, alias, provider/model, model@version or model#tier
        model: String,
        #[command(flatten)]
        source: PriceSource,
    },
    /// Prices that became others, began or ended, and models that were retired, newest first
    #[command(after_help = "Example:\n  gallerist prices changes --since 2026-09-01")]
    Changes {
        /// From this instant or day (UTC) on [default: 90 days ago]
        #[arg(long, value_name = "WHEN", value_parser = super::instant)]
        since: Option<Timestamp>,
        /// Until this instant or day; later than now shows what is announced [default: in a year]
        #[arg(long, value_name = "WHEN", value_parser = super::instant)]
        until: Option<Timestamp>,
        /// Only this kind of provider
        #[arg(long, value_name = "KIND")]
        provider: Option<String>,
        #[command(flatten)]
        source: PriceSource,
    },
    /// Report every mistake of the catalogue files with file and line, and which models in use end soon
    #[command(after_help = "Example:\n  gallerist prices check ./my-catalogue")]
    Check {
        /// Folder with KIND.toml files that replace or join the embedded ones; else the configured one
        dir: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Poll the configured price feeds once and print what is believed of what they told
    #[command(
        after_help = "Example:\n  gallerist prices sync\n  gallerist prices sync --dry-run\n  gallerist prices sync --confirm bfl/flux-1.1-pro picture"
    )]
    Sync(sync::SyncCommand),
    /// Read somebody else's price list: compare it with ours, or write it beside ours
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        #[command(flatten)]
        list: Box<import::ImportCommand>,
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(command: &PricesCommand, json: bool) -> Result<()> {
    match &command.action {
        Action::List { all, provider, model, at, source } => {
            // Machines get everything that is named; they can filter.
            let asked = (provider.as_deref(), model.as_deref());
            list(&source.load()?, *all || json, asked, at.unwrap_or_else(Timestamp::now), json)
        }
        Action::Show { model, source } => {
            let config = source.load()?;
            let catalogue = config.whole_catalogue()?;
            let now = Timestamp::now();
            let every = all_offers(&catalogue, &config);
            let target = names::of_catalogue(model, &every, now)?;
            let found: Vec<Offer> = every.into_iter().filter(|offer| target.speaks_of(offer)).collect();
            if json {
                output::json(&json!({
                    "catalogue": catalogue.digest,
                    "offers": show::as_json(&found, now),
                    "feeds": source::shown(&config.feed_book),
                }));
            } else {
                show::print(&found, now);
                tell_feeds(&config.feed_book, now);
            }
            Ok(())
        }
        Action::Changes { since, until, provider, source } => {
            let config = source.load()?;
            let catalogue = config.whole_catalogue()?;
            if let Some(kind) = provider.as_deref().filter(|kind| catalogue.provider(kind).is_none()) {
                return Err(unknown_kind(&catalogue, kind));
            }
            changes::run(&catalogue, &config.feed_book, (*since, *until), provider.as_deref(), json)
        }
        Action::Check { dir, place } => check(dir.as_deref(), place, json),
        Action::Sync(command) => sync::run(command, json),
        Action::Import { list, place } => {
            let config = Config::load(place, &Environment::of_process())?;
            import::run(list, &config.whole_catalogue()?, json)
        }
    }
}

/// Says in a line of its own that prices of feeds are among those above.
fn tell_feeds(book: &FeedBook, now: Timestamp) {
    if let Some(told) = source::told(book, now) {
        output::line(format!("\n{told}"));
    }
}

fn all_offers(catalogue: &Catalogue, config: &Config) -> Vec<Offer> {
    offers(catalogue, &everything(catalogue, &config.providers))
}

/// Which offers a list shows.
struct Wanted<'a> {
    all: bool,
    provider: Option<&'a str>,
    model: Option<Target<'a>>,
}

impl Wanted<'_> {
    fn names(&self, offer: &Offer) -> bool {
        self.provider.is_none_or(|kind| kind == offer.provider.kind)
            && self.model.is_none_or(|name| name.speaks_of(offer))
    }

    fn takes(&self, offer: &Offer, at: Timestamp) -> bool {
        let sold = offer.serves(Operation::Generate)
            && !offer.is_retired(at)
            && offer.not_released(at).is_none()
            && offer.model.sheet.unknown.is_none()
            && offer.model.lifecycle.switched_off.is_none();
        self.names(offer) && (self.all || sold)
    }
}

fn list(
    config: &Config,
    all: bool,
    (provider, model): (Option<&str>, Option<&str>),
    at: Timestamp,
    as_json: bool,
) -> Result<()> {
    let catalogue = config.whole_catalogue()?;
    if let Some(kind) = provider.filter(|kind| catalogue.provider(kind).is_none()) {
        return Err(unknown_kind(&catalogue, kind));
    }
    let every = all_offers(&catalogue, config);
    let model = model.map(|name| names::of_catalogue(name, &every, at)).transpose()?;
    let wanted = Wanted { all, provider, model };
    let found: Vec<&Offer> = every.iter().filter(|offer| wanted.takes(offer, at)).collect();
    let rows = found.iter().map(|offer| (*offer, quoted(offer, None, at)));
    let mut unrecorded = 0;
    if as_json {
        let models: Vec<Value> = rows.map(|(offer, quoted)| model_json(offer, &quoted, at)).collect();
        let feeds = source::shown(&config.feed_book);
        output::json(
            &json!({"instant": at, "catalogue": catalogue.digest, "models": models, "feeds": feeds}),
        );
        return Ok(());
    }
    let mut table = Table::new()
        .text("model")
        .text("provider")
        .optional("class")
        .optional("default picture")
        .figure("expected")
        .figure("max")
        .optional("price is")
        .optional("of")
        .flexible("state");
    for (offer, quoted) in rows {
        let quote = quoted.as_ref().ok();
        let trust = quote.and_then(|quote| super::quote::trust(&quote.lines));
        unrecorded += usize::from(quote.is_some_and(|quote| quote.recorded_since.is_some()));
        table.row([
            named_with_tier(offer),
            offer.id.provider.clone(),
            quote.and_then(|quote| quote.class).map(|class| class.to_string()).unwrap_or_default(),
            quote.map(|quote| format!("{} {}", quote.size, quote.quality)).unwrap_or_default(),
            quote.map_or_else(String::new, |quote| output::rounded(quote.expected_usd)),
            quote.map_or_else(String::new, |quote| output::rounded(quote.max_usd)),
            trust.as_ref().map(|trust| trust.confidence.replace('_', " ")).unwrap_or_default(),
            trust.map_or_else(|| offer.provider.as_of.to_string(), |trust| trust.as_of.to_owned()),
            state(offer, quoted.as_ref().err(), at),
        ]);
    }
    output::line(table.render());
    let more = match every.iter().filter(|offer| wanted.names(offer)).count() - found.len() {
        0 => String::new(),
        1 => " 1 more is priced only, unpriced, retired or switched off: --all.".to_owned(),
        count => format!(" {count} more are priced only, unpriced, retired or switched off: --all."),
    };
    output::line(format!(
        "\n{}.{more} `gallerist prices show MODEL` has every line, `gallerist quote PROMPT` a request's price.",
        output::counted(found.len(), "offer")
    ));
    if unrecorded > 0 {
        let (day, verb) = (output::day(at), if unrecorded == 1 { "has" } else { "have" });
        output::line(format!(
            "\n{unrecorded} of them {verb} no price of {day} on record: what is shown is the earliest that is known \
             (`recorded_since` with --json)."
        ));
    }
    tell_feeds(&config.feed_book, Timestamp::now());
    Ok(())
}

fn unknown_kind(catalogue: &Catalogue, kind: &str) -> Failure {
    super::quote::unknown_provider(kind, catalogue.providers.iter().map(|sheet| sheet.kind.clone()).collect())
}

/// The model, with its tier where that is not the usual one.
fn named_with_tier(offer: &Offer) -> String {
    match offer.id.tier == STANDARD_TIER {
        true => offer.model.id.clone(),
        false => format!("{}#{}", offer.model.id, offer.id.tier),
    }
}

/// As [`quoted`], where the reason is no matter.
fn default_picture(offer: &Offer, operation: Option<Operation>, at: Timestamp) -> Option<OfferQuote> {
    quoted(offer, operation, at).ok()
}

/// The quote of one picture with nothing asked for but, perhaps, the operation.
///
/// # Errors
/// Why there is none: the offer is gone, unpriced, or wants more to be asked for.
fn quoted(
    offer: &Offer,
    operation: Option<Operation>,
    at: Timestamp,
) -> std::result::Result<OfferQuote, String> {
    let offers = std::slice::from_ref(offer);
    let health = HealthBook::new(1);
    let mut request = ImageRequest::new(&offer.id.to_string(), "a picture of nothing in particular");
    request.class = Some(QualityClass::Draft);
    let usual = offer.model.capabilities.operations.first().copied();
    request.operation = operation.or(usual).unwrap_or(request.operation);
    let able = offer.model.capabilities.of(request.operation);
    if request.operation != Operation::Generate && able.inputs_max > 0 {
        // What is enlarged may not go in as large as it comes out.
        let square = Size::new(1024, 1024);
        let input = if able.each_input.hold(able.size_default) { able.size_default } else { square };
        request.ingredients.inputs.push(input);
    }
    let context = PlanContext {
        offers,
        health: &health,
        insight: &NOTHING,
        names: &PLAIN,
        grants: Grants::ALL,
        at,
        now_ms: 0,
        price_only: true,
    };
    let report = quotes(&request, context).map_err(|_| "its name means another offer".to_owned())?;
    let why = report.excluded.into_iter().next().map(|excluded| excluded.reason);
    report.offers.into_iter().next().ok_or_else(|| why.unwrap_or_default())
}

fn model_json(offer: &Offer, quoted: &std::result::Result<OfferQuote, String>, at: Timestamp) -> Value {
    let lifecycle = &offer.model.lifecycle;
    let quote = quoted.as_ref().ok();
    let trust = quote.and_then(|quote| super::quote::trust(&quote.lines));
    json!({
        "offer": offer.id.to_string(),
        "provider": offer.id.provider,
        "model": offer.model.id,
        "tier": offer.id.tier,
        "orderable": offer.serves(Operation::Generate),
        "upstream": offer.model.upstream,
        "aliases": offer.model.aliases,
        "class": quote.and_then(|quote| quote.class),
        "size": quote.map(|quote| &quote.size),
        "quality": quote.map(|quote| &quote.quality),
        "min_usd": quote.map(|quote| quote.min_usd),
        "expected_usd": quote.map(|quote| quote.expected_usd),
        "max_usd": quote.map(|quote| quote.max_usd),
        "unpriced_because": quoted.as_ref().err(),
        "as_of": offer.provider.as_of,
        "confidence": trust.as_ref().map(|trust| trust.confidence),
        "price_as_of": trust.map(|trust| trust.as_of),
        "recorded_since": quote.and_then(|quote| quote.recorded_since),
        "retired": offer.is_retired(at),
        "released_on": lifecycle.released_on(),
        "deprecated": lifecycle.deprecated,
        "deprecated_on": lifecycle.deprecated_on,
        "retires_on": lifecycle.retires_on,
        "successors": lifecycle.successors,
        "switched_off": lifecycle.switched_off,
        "price_unknown": offer.model.sheet.unknown,
    })
}

/// What is to know of an offer; with `unpriced`, why its default picture has no price.
fn state(offer: &Offer, unpriced: Option<&String>, at: Timestamp) -> String {
    let lifecycle = &offer.model.lifecycle;
    let retired = offer.is_retired(at);
    let successors = match lifecycle.successors.is_empty() {
        true => String::new(),
        false => format!("; use {}", lifecycle.successors.join(" or ")),
    };
    let unknown = offer.model.sheet.unknown.is_some();
    let why = match unpriced {
        Some(_) if unknown => "; no price known".to_owned(),
        Some(why) => format!("; no default price: {why}"),
        None => String::new(),
    };
    match (&lifecycle.switched_off, lifecycle.retires_on, lifecycle.deprecated_on) {
        (Some(why), _, _) => format!("off: {why}{successors}"),
        (None, Some(day), _) if retired => format!("retired {day}{successors}"),
        (None, Some(day), _) => format!("retires {day}{successors}{why}"),
        (None, None, Some(day)) => format!("deprecated {day}{successors}{why}"),
        (None, None, None) if lifecycle.deprecated => format!("deprecated{successors}{why}"),
        (None, None, None) => match offer.not_released(at) {
            Some(day) => format!("from {day} on"),
            None if unknown => "no price known".to_owned(),
            None if offer.serves(Operation::Generate) => format!("active{why}"),
            None => format!("priced only{why}"),
        },
    }
}

/// What was read: of the folder, and in all. Files of models that are only described are read with a folder, whose
/// files may speak of them; whoever does not switch them on has fewer.
fn tell_counts(catalogue: &Catalogue, origin: &Origin) {
    let all = Counts::of(catalogue.providers.iter());
    let Some(dir) = origin.directory.as_deref() else {
        return output::line(format!("{all}, no mistake."));
    };
    let usual = Origin { described: false, ..origin.clone() }.whole().ok();
    let usual = usual.filter(|_| origin.described).map(|usual| Counts::of(usual.providers.iter()));
    let with_built_in = match usual {
        Some(usual) => {
            format!("{usual}; and with those that `catalogue_described = true` switches on: {all}")
        }
        None => all.to_string(),
    };
    let own = Counts::of(
        catalogue.providers.iter().filter(|sheet| dir.join(format!("{}.toml", sheet.kind)).exists()),
    );
    output::line(format!("{}: {own}, no mistake. With the built-in files: {with_built_in}.", dir.display()));
}

/// How much a part of the catalogue holds.
#[derive(Clone, Copy)]
struct Counts {
    kinds: usize,
    models: usize,
    lines: usize,
}

impl Counts {
    fn of<'a>(sheets: impl Iterator<Item = &'a Arc<ProviderSheet>>) -> Counts {
        sheets.fold(Counts { kinds: 0, models: 0, lines: 0 }, |sum, sheet| Counts {
            kinds: sum.kinds + 1,
            models: sum.models + sheet.models.len(),
            lines: sum.lines + sheet.models.iter().map(|model| model.sheet.lines.len()).sum::<usize>(),
        })
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { kinds, models, lines } = self;
        let (models, lines) = (output::counted(*models, "model"), output::counted(*lines, "price line"));
        write!(f, "{models} with {lines} at {kinds} kind{} of provider", if *kinds == 1 { "" } else { "s" })
    }
}

/// Whether there is anything to check; a folder that cannot be read is told as one.
fn holds_catalogue(path: &Path) -> bool {
    let is_file = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "toml");
    std::fs::read_dir(path).map_or(true, |mut entries| entries.any(|entry| entry.is_ok_and(is_file)))
}

fn check(dir: Option<&Path>, place: &Place, as_json: bool) -> Result<()> {
    if let Some(path) = dir.filter(|path| !path.is_dir()) {
        let advice = "name the folder that holds KIND.toml files";
        return Err(Failure::usage(format!("{} is no folder", path.display())).advise(advice));
    }
    let config = match dir {
        Some(_) => None,
        // Mistakes of the configured catalogue would be reported as mistakes of the settings.
        None => Some(Config::load(place, &Environment::of_process())?),
    };
    let of_dir = || Origin { directory: dir.map(Path::to_owned), described: true };
    let origin = config.as_ref().map_or_else(of_dir, |config| config.origin.clone());
    let mut remarks = config.as_ref().map(|config| config.remarks.clone()).unwrap_or_default();
    if let Some(path) = dir.filter(|path| !holds_catalogue(path)) {
        remarks
            .push(format!("{} holds no KIND.toml file: these are the built-in ones alone", path.display()));
    }
    let ending =
        config.map(|config| retirements::retirements(&config, place, Timestamp::now())).unwrap_or_default();
    let dir = origin.directory.as_deref();
    let (catalogue, mistakes) = match origin.whole() {
        Ok(catalogue) => (Some(catalogue), Vec::new()),
        Err(mistakes) => (None, mistakes),
    };
    remarks.extend(catalogue.iter().flat_map(|catalogue| ahead::remarks(catalogue, Timestamp::now())));
    if as_json {
        let list: Vec<Value> = mistakes
            .iter()
            .map(|mistake| json!({"file": mistake.file, "line": mistake.line, "message": mistake.message}))
            .collect();
        let digest = catalogue.as_ref().map(|catalogue| &catalogue.digest);
        output::json(&json!({"catalogue": digest, "mistakes": list, "ending": ending, "remarks": remarks}));
    } else {
        for mistake in &mistakes {
            let file = dir.map_or_else(|| PathBuf::from(&mistake.file), |dir| dir.join(&mistake.file));
            output::line(format!("{}:{}: {}", file.display(), mistake.line, mistake.message));
        }
    }
    let Some(catalogue) = catalogue else {
        let count = mistakes.len();
        return Err(Failure::failed(format!("{} in the catalogue", output::counted(count, "mistake"))));
    };
    if !as_json {
        tell_counts(&catalogue, &origin);
        retirements::print(&ending, Timestamp::now());
        for remark in &remarks {
            output::remark(format!("Note: {remark}"));
        }
    }
    Ok(())
}
