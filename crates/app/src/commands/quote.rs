//! `gallerist quote`: the table of offers with their prices, offline.
//!
//! It plans with what the catalogue, the settings and the books say (what feeds told, credits that were bought, what
//! past charges teach) and asks nobody: neither a provider nor a running gateway, whose measured latencies and
//! breakers it therefore does not know.

use super::prices::source::{self, FeedShown, PriceSource, shown};
use crate::ask::{self, Ask};
use crate::config::{Config, everything};
use crate::failure::{Failure, Result};
use crate::names::unknown_model;
use crate::output;
use crate::table::Table;
use crate::words;
use clap::Args;
use gallerist_domain::{Grants, ImageRequest, Ticks};
use gallerist_pricing::{Offer, ProviderSheet, offers, served_offers};
use gallerist_routing::report::{BundleQuote, ExcludedOffer, LineQuote, OfferQuote, QuoteReport, quotes};
use gallerist_routing::{HealthBook, Insight, NameBook, PlanContext, PlanError};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Warnings that are shown unless all are asked for.
const WARNINGS_SHOWN_MAX: usize = 12;
/// Offers left out that are listed one by one unless all are asked for.
const EXCLUDED_SHOWN_MAX: usize = 40;

const EXAMPLES: &str = "Examples:
  gallerist quote \"a red kite over a hill\"
  gallerist quote \"a red kite\" --size 1024x1024 --quality high --all -v
  gallerist quote --body request.json --at 2027-01-01T00:00:00Z --json";

/// What would it cost? Every offer with its price, the chosen one marked, the excluded with the reason
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct QuoteCommand {
    /// What the picture shows; some prices depend on its length
    #[arg(required_unless_present = "body")]
    prompt: Option<String>,
    #[command(flatten)]
    ask: Ask,
    /// Prices at this instant or day (UTC) [default: now]
    #[arg(long, value_name = "WHEN", value_parser = super::instant)]
    at: Option<Timestamp>,
    /// A request body as JSON instead of a prompt and flags; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    body: Option<PathBuf>,
    /// Also the offers of providers that are not configured, or that this gateway only knows the prices of
    #[arg(long)]
    all: bool,
    /// Each line of each price, with its source
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    source: PriceSource,
}

pub fn run(command: &QuoteCommand, json: bool) -> Result<()> {
    let config = command.source.load()?;
    let request = request(command)?;
    let mut offered = config.offers();
    if command.all {
        let whole = config.whole_catalogue()?;
        offered = offers(&whole, &everything(&whole, &config.providers));
    } else if offered.is_empty() {
        output::remark(
            "No provider is configured; these are the offers that could be ordered (--all shows every price).",
        );
        offered = served_offers(&config.catalogue, &everything(&config.catalogue, &config.providers));
    }
    check_providers(&request, &config, &offered)?;
    let at = command.at.unwrap_or_else(Timestamp::now);
    let insight = command.source.insight(&config, &offered);
    let report = report(&request, (&offered, &insight), &config.names, at, command.all)
        .map_err(|failure| sold_elsewhere(&request, &config, &offered, at).unwrap_or(failure))?;
    if json {
        output::json(&QuoteShown { report: &report, feeds: shown(&config.feed_book) });
    } else {
        let on = config.offers().into_iter().map(|offer| offer.id.to_string()).collect();
        // A body is corrected in its own words.
        let told: Told = if command.body.is_some() { str::to_owned } else { words::in_flags };
        print(&report, &on, command.verbose, told);
        if let Some(feeds) = source::told(&config.feed_book, Timestamp::now()) {
            output::line(feeds);
        }
    }
    match report.offers.is_empty() {
        true if command.all => {
            Err(Failure::failed("no offer can make this").advise("change what the table names"))
        }
        true => Err(Failure::failed("no offer can make this")
            .advise("change what the table names, or ask with --all")),
        false => Ok(()),
    }
}

/// What `POST /v1/quotes` answers, and which feeds' prices are in it.
#[derive(Serialize)]
struct QuoteShown<'a> {
    #[serde(flatten)]
    report: &'a QuoteReport,
    feeds: Vec<FeedShown<'a>>,
}

/// A model that nobody who was asked sells may be sold by others.
fn sold_elsewhere(
    request: &ImageRequest,
    config: &Config,
    offered: &[Offer],
    at: Timestamp,
) -> Option<Failure> {
    // Where the name is known, something else is wrong.
    let here = gallerist_routing::target(&request.model, &config.names, offered, at).err()?;
    let whole = config.whole_catalogue().ok()?;
    let all = offers(&whole, &everything(&whole, &config.providers));
    let target = match gallerist_routing::target(&request.model, &config.names, &all, at) {
        Ok(named) => named.target,
        // Of a model that is not on, a version or a host may be what is wrong.
        Err(unknown) => return unknown.partly.is_some().then(|| unknown_model(&unknown)),
    };
    let mut with_key: Vec<String> = Vec::new();
    let mut priced: Vec<String> = Vec::new();
    let mut unpriced: Vec<String> = Vec::new();
    let mut in_pixels = false;
    for offer in all.iter().filter(|offer| target.speaks_of(offer)) {
        let sheet = &offer.provider;
        let drawn = offer.model.draws_lines();
        in_pixels |= !drawn;
        let is_on = config.providers.iter().any(|one| one.kind == sheet.kind);
        let (list, text) = match &offer.model.sheet.unknown {
            Some(why) => (&mut unpriced, format!("{} ({why})", sheet.kind)),
            None if drawn || sheet.serves.is_empty() => (&mut priced, sheet.kind.clone()),
            None if is_on => (&mut priced, offer.id.to_string()),
            None => (&mut with_key, format!("{} ({})", sheet.kind, switch(sheet))),
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }
    let mut advice = Vec::new();
    if !with_key.is_empty() {
        advice.push(format!("switch on {}", with_key.join(" or ")));
    }
    if !priced.is_empty() {
        advice.push(format!("known by price alone: {}", priced.join(", ")));
    }
    if !unpriced.is_empty() {
        advice.push(format!("at a price that is not known: {}", unpriced.join(", ")));
    }
    if !in_pixels {
        advice.push("it answers with svg, and this gateway delivers pictures in pixels alone".to_owned());
    }
    advice.push("--all shows every price".to_owned());
    // A version that others sell may have its successors here.
    let lacking = here.partly.map_or_else(String::new, |partly| format!(": {partly}"));
    let message = format!("nobody who is on makes {:?}{lacking}", request.model);
    Some(Failure::usage(message).advise(advice.join("; ")))
}

/// The variable that switches a provider on: that of its key, or of the address of an engine of one's own.
fn switch(sheet: &ProviderSheet) -> String {
    match sheet.self_hosted {
        true => format!("GALLERIST_{}_BASE_URL", sheet.kind.to_uppercase()),
        false => sheet.key_variables.join(" or "),
    }
}

/// A provider that is named, but has no offers here, is a slip or one that is not on.
fn check_providers(request: &ImageRequest, config: &Config, offered: &[Offer]) -> Result<()> {
    for name in &request.providers_only {
        if offered.iter().any(|offer| offer.id.provider == *name) {
            continue;
        }
        return Err(match config.catalogue.provider(name) {
            Some(sheet) => Failure::usage(format!("provider {name} is not on"))
                .advise(format!("set {}, or ask with --all", switch(sheet))),
            None => {
                let known = everything(&config.catalogue, &config.providers);
                unknown_provider(name, known.iter().map(|one| one.name.clone()).collect())
            }
        });
    }
    Ok(())
}

/// A name that no provider has; the likeliest ones, else all.
pub(super) fn unknown_provider(name: &str, known: Vec<String>) -> Failure {
    let failure = Failure::usage(format!("there is no provider {name:?}"));
    match gallerist_routing::slip_of(name, known.iter().cloned()) {
        Some(meant) => failure.advise(meant),
        None => failure.advise(known.join(", ")),
    }
}

/// The report of `POST /v1/quotes` for offers whose health nobody has measured yet. With `price_only`, what the
/// gateway cannot order yet is quoted too.
///
/// # Errors
/// An unknown model, with the nearest names, or an unknown quality word.
pub fn report(
    request: &ImageRequest,
    (offered, insight): (&[Offer], &Insight),
    names: &NameBook,
    at: Timestamp,
    price_only: bool,
) -> Result<QuoteReport> {
    let health = HealthBook::new(offered.len());
    let context = PlanContext {
        offers: offered,
        health: &health,
        insight,
        names,
        grants: Grants::ALL,
        at,
        now_ms: 0,
        price_only,
    };
    quotes(request, context).map_err(|error| match error {
        PlanError::UnknownModel(unknown) => unknown_model(&unknown),
        // Nobody's key is asked here.
        PlanError::Forbidden(forbidden) => {
            Failure::failed(format!("the {} {:?} is not allowed", forbidden.what, forbidden.name))
        }
        PlanError::QualityWord(word) => {
            Failure::usage(format!("{word:?} is no quality of a route")).advise("low, medium, high or auto")
        }
    })
}

fn request(command: &QuoteCommand) -> Result<ImageRequest> {
    match (&command.body, &command.prompt) {
        (Some(path), _) => {
            if !command.ask.is_empty() {
                return Err(Failure::usage(
                    "--body says everything about the picture: leave out the other flags",
                ));
            }
            ask::parse(&read_body(path)?)
        }
        (None, prompt) => ask::parse_flags(&command.ask.body(prompt.as_deref().unwrap_or_default())),
    }
}

fn read_body(path: &Path) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().read_to_end(&mut body).map(drop),
        false => std::fs::read(path).map(|bytes| body = bytes),
    };
    read.map_err(|error| Failure::unreadable(path.display(), &error))?;
    Ok(body)
}

/// How a hint is worded.
type Told = fn(&str) -> String;

/// `on` are the ids of the offers of configured providers.
fn print(report: &QuoteReport, on: &BTreeSet<String>, verbose: bool, told: Told) {
    let requested = &report.requested_model;
    if let Some(to) = &report.migrated_to {
        output::line(format!("{requested} is gone; the settings migrate it to {to}.\n"));
    }
    if report.offers.is_empty() {
        output::line("No offer can make this as it is asked for.");
    } else {
        output::line(offer_table(report, on).render());
        for offer in report.offers.iter().filter(|_| verbose) {
            output::line(format!("\n{}", offer.offer));
            output::line(line_table(offer).render());
        }
        for offer in &report.offers {
            if let Some(routing) = &offer.routing {
                output::line(format!("\n{}: {routing}.", offer.offer));
            }
        }
        for offer in &report.offers {
            if let Some(bundle) = &offer.bundle {
                output::line(format!("\n{}: {}.", offer.offer, apart(bundle)));
            }
        }
        print_warnings(report, verbose);
    }
    print_excluded(report, verbose, told);
    let seconds = |at: Timestamp| at.round(jiff::Unit::Second).unwrap_or(at);
    let marks = |mark| report.offers.iter().any(|offer| mark_of(offer, on) == mark);
    let chosen = match &report.route {
        Some(route) if marks("") => format!("→ would be chosen by the route {route}. "),
        None if marks("") => "→ would be chosen. ".to_owned(),
        _ => String::new(),
    };
    if marks("+") {
        output::line("\n+ can be ordered once its provider's key is set.");
    }
    if report.offers.iter().any(|offer| !offer.orderable) {
        output::line("\n· a price that is known; this gateway cannot order there yet.");
    }
    output::line(format!(
        "\n{chosen}Prices of {}, good until {}.",
        seconds(report.instant),
        seconds(report.valid_until)
    ));
}

/// What is to know of the offers at the top; of all with `verbose`.
fn print_warnings(report: &QuoteReport, verbose: bool) {
    // That the name was migrated is told once, above.
    let told = usize::from(report.migrated_to.is_some());
    let warned = report.offers.iter().filter(|offer| offer.warnings.len() > told);
    let warnings: Vec<String> =
        warned.map(|offer| format!("  {}: {}", offer.offer, offer.warnings[told..].join("; "))).collect();
    let shown = if verbose { warnings.len() } else { warnings.len().min(WARNINGS_SHOWN_MAX) };
    if shown == 0 {
        return;
    }
    output::line(format!("\nTo know:\n{}", warnings[..shown].join("\n")));
    if shown < warnings.len() {
        output::line(format!(
            "  … and of {}; -v shows all",
            output::counted(warnings.len() - shown, "more offer")
        ));
    }
}

/// Many offers that are out are told by their reasons.
fn print_excluded_in_groups(others: &[&ExcludedOffer], told: Told) {
    let mut groups: Vec<(&str, Vec<&ExcludedOffer>)> = Vec::new();
    for excluded in others {
        match groups.iter_mut().find(|(code, _)| *code == excluded.code) {
            Some((_, members)) => members.push(excluded),
            None => groups.push((excluded.code, vec![excluded])),
        }
    }
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut table = Table::new().figure("offers").text("left out because").flexible("such as");
    for (code, members) in groups {
        let Some(nearest) = members.iter().min_by_key(|member| member.distance) else { continue };
        let example = format!("{}: {}; {}", nearest.offer, nearest.reason, told(&nearest.change));
        table.row([members.len().to_string(), words::why(code), example]);
    }
    output::line(table.render());
    output::line("-v lists each of them.");
}

/// Offers that the request itself names out are only counted.
fn print_excluded(report: &QuoteReport, verbose: bool, told: Told) {
    let (named, others): (Vec<_>, Vec<_>) =
        report.excluded.iter().partition(|excluded| excluded.code == "provider_excluded");
    if !others.is_empty() {
        output::line("\nLeft out:");
    }
    if others.len() > EXCLUDED_SHOWN_MAX && !verbose {
        print_excluded_in_groups(&others, told);
    } else if !others.is_empty() {
        let mut table = Table::new().text("offer").flexible("reason").flexible("what would admit it");
        for excluded in others {
            table.row([excluded.offer.clone(), excluded.reason.clone(), told(&excluded.change)]);
        }
        output::line(table.render());
    }
    if !named.is_empty() {
        let (count, verb) = (named.len(), if named.len() == 1 { "is" } else { "are" });
        let count = output::counted(count, "offer");
        output::line(format!("\n{count} {verb} of providers that the request leaves out."));
    }
}

/// Nothing for what can be ordered now, `+` for what needs a key, `·` for what is priced only.
fn mark_of(offer: &OfferQuote, on: &BTreeSet<String>) -> &'static str {
    match (offer.orderable, on.is_empty() || on.contains(&offer.offer)) {
        (true, true) => "",
        (true, false) => "+",
        (false, _) => "·",
    }
}

fn offer_table(report: &QuoteReport, on: &BTreeSet<String>) -> Table {
    let mut table = Table::new()
        .text("")
        .text("offer")
        .optional("class")
        .optional("size")
        .optional("quality")
        .figure("min")
        .figure("expected")
        .figure("max")
        .optional("latency")
        .optional("price is")
        .optional("of");
    let chosen = report.offers.iter().position(|offer| mark_of(offer, on).is_empty());
    for (at, offer) in report.offers.iter().enumerate() {
        let mark = if Some(at) == chosen { "→" } else { mark_of(offer, on) };
        let trust = trust(&offer.lines);
        table.row([
            mark.to_owned(),
            offer.offer.clone(),
            offer.class.map(|class| class.to_string()).unwrap_or_default(),
            offer.size.clone(),
            offer.quality.clone(),
            output::rounded(offer.min_usd),
            output::rounded(offer.expected_usd),
            output::rounded(offer.max_usd),
            format!("{}.{} s", offer.latency_ms / 1_000, offer.latency_ms % 1_000 / 100),
            trust.as_ref().map(|trust| trust.confidence.replace('_', " ")).unwrap_or_default(),
            trust.map(|trust| trust.as_of.to_owned()).unwrap_or_default(),
        ]);
    }
    table
}

fn line_table(offer: &OfferQuote) -> Table {
    let mut table = Table::new()
        .text("line")
        .figure("quantity")
        .text("meter")
        .figure("unit price")
        .figure("amount")
        .text("confidence")
        .flexible("source");
    for line in &offer.lines {
        table.row([
            line.line.clone(),
            line.quantity.clone(),
            line.meter.replace('_', " "),
            multiplied(unit_price(&line.unit_price_usd), line.times.as_deref()),
            output::rounded(line.amount_usd),
            format!("{}, {}", line.confidence.replace('_', " "), line.as_of),
            line.source.clone(),
        ]);
    }
    table
}

/// `0.0300000000`, or `30.0000000000 / 1000000`, without the zeros.
fn unit_price(text: &str) -> String {
    let (amount, per) = text.split_once(" / ").unwrap_or((text, ""));
    let amount = amount.parse().map_or_else(|_| amount.to_owned(), output::dollars);
    if per.is_empty() { amount } else { format!("{amount} / {per}") }
}

/// A unit price with the factors on it: `$0.03 × 1055/1000`.
pub(super) fn multiplied(price: String, times: Option<&str>) -> String {
    times.map_or(price.clone(), |times| format!("{price} × {times}"))
}

/// What the operations of a bundle cost in separate calls, and what it saves.
pub(super) fn apart(bundle: &BundleQuote) -> String {
    let (names, amounts): (Vec<_>, Vec<_>) = bundle
        .chain
        .iter()
        .map(|link| (link.operation.as_str().to_owned(), output::dollars(link.expected_usd)))
        .unzip();
    let saved = |amount: Ticks, percent: &Option<String>| {
        let percent = percent.as_ref().map(|percent| format!(" ({percent} %)")).unwrap_or_default();
        format!("{}{percent}", output::dollars(amount))
    };
    let expected = match bundle.saving_usd.is_negative() {
        true => format!("costs {} more", saved(-bundle.saving_usd, &None)),
        false => format!("saves {}", saved(bundle.saving_usd, &bundle.saving_percent)),
    };
    let mut text = format!(
        "{} in separate calls cost {} = {}; the bundle {expected}",
        names.join(" and "),
        amounts.join(" + "),
        output::dollars(bundle.chain_expected_usd),
    );
    if bundle.saving_max_usd > bundle.saving_usd {
        let best = saved(bundle.saving_max_usd, &bundle.saving_max_percent);
        text.push_str(&format!(", at best {best}"));
    }
    text
}

/// How far to trust a price: as the least sure of its lines says, read when the oldest of them was.
pub(super) struct Trust<'a> {
    pub confidence: &'a str,
    pub as_of: &'a str,
}

/// `None` where no line says anything.
pub(super) fn trust(lines: &[LineQuote]) -> Option<Trust<'_>> {
    const ORDER: [&str; 4] = ["official", "third_party", "derived", "unverified"];
    let sureness = |word: &&str| ORDER.iter().position(|known| known == word);
    let confidence = lines.iter().map(|line| line.confidence).max_by_key(sureness)?;
    Some(Trust { confidence, as_of: lines.iter().map(|line| line.as_of.as_str()).min()? })
}
