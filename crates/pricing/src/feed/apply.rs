//! Accepted prices as part of the catalogue: dated points at the end of a line's history.

use super::{Base, FeedBook, Observation, Quoted, Silence, Target, Watch};
use crate::catalogue::{Catalogue, ModelSheet, ProviderSheet, spread};
use crate::sheet::{Confidence, Factored, PriceLine, PriceSheet, Source};
use crate::trust::Weakest;
use gallerist_domain::{Meter, Price};
use jiff::Timestamp;
use std::sync::Arc;

impl Catalogue {
    /// The model of a target's `kind/model`, by any of its names.
    fn model_of(&self, offer: &str) -> Option<&ModelSheet> {
        let (kind, name) = offer.split_once('/')?;
        self.provider(kind)?.models.iter().find(|model| model.is_named(name)).map(Arc::as_ref)
    }

    /// What the line of a target costs at `at`, without any feed, and as feeds tell it: hardware by its rent; `None` where there is no such line then.
    pub fn line_price(&self, target: &Target, at: Timestamp) -> Option<Base> {
        let model = self.model_of(&target.offer)?;
        let mut lines = model.sheet.lines.iter().filter(|line| line.id == target.line);
        let line = lines.find(|line| line.period.contains(at))?;
        Some(Base { quote: Quoted::of(line.rent_of(line.price_expected)), since: line.period.since })
    }

    /// What was seen, of the offer under the model's own name: whoever tells of an alias tells of the model.
    pub(super) fn in_full(&self, mut seen: Observation) -> Observation {
        let found = seen.target.offer.split_once('/').zip(self.model_of(&seen.target.offer));
        if let Some(((kind, _), model)) = found {
            seen.target.offer = format!("{kind}/{}", model.id);
        }
        seen
    }

    /// What the price of the line of a target rests on at `at`.
    pub fn line_trust(&self, target: &Target, at: Timestamp) -> Option<Weakest<'_>> {
        let model = self.model_of(&target.offer)?;
        let mut lines = model.sheet.lines.iter();
        lines.find(|line| line.id == target.line && line.period.contains(at)).map(Weakest::of_line)
    }

    /// What the line of a target counts; `None` where there never was such a line.
    pub fn line_meter(&self, target: &Target) -> Option<Meter> {
        let model = self.model_of(&target.offer)?;
        model.sheet.lines.iter().find(|line| line.id == target.line).map(|line| line.meter)
    }

    /// The catalogue with the accepted prices of feeds: each holds from its instant until the next one. What
    /// holds no price any more at that instant is left alone. The digest says that it is another catalogue.
    pub fn with_feeds(&self, book: &FeedBook) -> Catalogue {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.digest.as_bytes());
        let mut any = false;
        let providers = self.providers.iter().map(|provider| {
            let models = provider.models.iter().map(|model| {
                let changed = with_points(&provider.kind, model, book, &mut hasher)?;
                any = true;
                Some(Arc::new(changed))
            });
            let changed: Vec<Option<Arc<ModelSheet>>> = models.collect();
            if changed.iter().all(Option::is_none) {
                return Arc::clone(provider);
            }
            let pairs = changed.into_iter().zip(&provider.models);
            let models = pairs.map(|(changed, model)| changed.unwrap_or_else(|| Arc::clone(model))).collect();
            Arc::new(ProviderSheet { models, ..(**provider).clone() })
        });
        let providers = providers.collect();
        let digest = if any { hasher.finalize().to_hex()[..16].to_owned() } else { self.digest.clone() };
        Catalogue { providers, digest }
    }
}

fn with_points(
    kind: &str,
    model: &ModelSheet,
    book: &FeedBook,
    hasher: &mut blake3::Hasher,
) -> Option<ModelSheet> {
    let mut sheet: Option<PriceSheet> = None;
    let mut lines: Vec<&PriceLine> = model.sheet.lines.iter().collect();
    lines.dedup_by_key(|line| &line.id);
    for line in lines {
        let id = &line.id;
        let target = Target::new(&format!("{kind}/{}", model.id), id);
        // A maker's new price is that of whoever resells it too; a reseller's fees are its own.
        let base = model.resale_of.as_ref().filter(|_| line.factored != Factored::Never);
        let told = |target: &Target| book.watches.get(&target.to_string());
        let (own, base) = (told(&target), base.and_then(|base| told(&Target::new(base, id))));
        let is_told =
            |watch: &&Watch| watch.silent.is_some() || watch.points.last().is_some_and(|last| !last.let_go);
        let Some(watch) = own.filter(is_told).or(base).or(own) else { continue };
        for point in watch.history() {
            let sheet = sheet.get_or_insert_with(|| (*model.sheet).clone());
            if point.let_go {
                if restore(sheet, &model.sheet, id, point.since) {
                    hasher.update(format!("{target} let go {}", point.since).as_bytes());
                }
            } else if append(sheet, id, &watch.feed, point.quote.price(), point.since) {
                hasher.update(target.to_string().as_bytes());
                hasher.update(format!("{} {} {}", point.quote.usd, point.quote.per, point.since).as_bytes());
            }
        }
        if let Some(silent) = watch.silent {
            silence(sheet.get_or_insert_with(|| (*model.sheet).clone()), id, watch, silent);
            hasher.update(format!("{target} silent {}", silent.noticed).as_bytes());
        }
    }
    let offer = format!("{kind}/{}", model.id);
    let end = book
        .ends
        .get(&offer)
        .and_then(|watch| watch.on)
        .filter(|day| model.lifecycle.retires_on != Some(*day));
    if sheet.is_none() && end.is_none() {
        return None;
    }
    let mut changed = model.clone();
    if let Some(sheet) = sheet {
        changed.sheet = Arc::new(sheet);
    }
    if let Some(day) = end {
        hasher.update(format!("{offer} {day}").as_bytes());
        changed.lifecycle.retires_on = Some(day);
    }
    Some(changed)
}

/// What a feed's silence does to a line.
fn silence(sheet: &mut PriceSheet, id: &str, watch: &Watch, silence: Silence) {
    let Silence { noticed, unknown } = silence;
    if unknown {
        let earlier = sheet.unknown_from.map_or(noticed, |known| known.min(noticed));
        sheet.unknown_from = Some(earlier);
    }
    let told =
        watch.polled.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let feed = &watch.feed;
    let warning =
        format!("the price of line {id:?} was last told by its feed {feed:?} on {told} and may be old");
    sheet.stale.push((id.to_owned(), warning));
}

/// Ends the line's price at `since` and begins another, in the same place among the lines.
fn append(sheet: &mut PriceSheet, id: &str, feed: &str, price: Price, since: Timestamp) -> bool {
    let lines = &mut sheet.lines;
    let Some(index) = lines.iter().position(|line| line.id == id && line.period.contains(since)) else {
        return false;
    };
    let old = &lines[index];
    // A feed tells what the hardware is rented for, whatever part of its time it works.
    let rent = price;
    let Some(price) = old.amortised(rent) else { return false };
    let source = Source {
        what: format!("its feed {feed}, {}", since.strftime("%Y-%m-%dT%H:%M:%SZ")).replace("feed ,", "feed,"),
        date: since.to_zoned(jiff::tz::TimeZone::UTC).date(),
        // A feed is somebody's word, and nobody has looked at it.
        confidence: Confidence::ThirdParty,
    };
    let new = PriceLine {
        price,
        price_expected: price,
        price_max: price,
        written: format!(
            "{} USD / {} {}{}",
            rent.amount.short(),
            rent.per,
            old.meter.name(),
            spread(i64::from(old.utilisation_percent))
        ),
        source: Arc::new(source),
        rate: None,
        ..old.clone()
    };
    begin(lines, index, new, since);
    true
}

/// Ends what a feed told at `since`: the catalogue's own line is in force again, with its own source and all that
/// belongs to it.
fn restore(sheet: &mut PriceSheet, own: &PriceSheet, id: &str, since: Timestamp) -> bool {
    let holds = |line: &&PriceLine| line.id == id && line.period.contains(since);
    let Some(index) = sheet.lines.iter().position(|line| holds(&line)) else { return false };
    let Some(own) = own.lines.iter().find(holds) else { return false };
    // A younger price of the catalogue has ended it already.
    if Arc::ptr_eq(&sheet.lines[index].source, &own.source) {
        return false;
    }
    begin(&mut sheet.lines, index, own.clone(), since);
    true
}

/// Puts a line in the place of another from `since` on.
fn begin(lines: &mut Vec<PriceLine>, index: usize, mut new: PriceLine, since: Timestamp) {
    let old = &mut lines[index];
    new.period.since = Some(since);
    new.period.until = old.period.until;
    if old.period.since == Some(since) {
        *old = new;
    } else {
        old.period.until = Some(since);
        lines.insert(index + 1, new);
    }
}
