//! Models from their written form: what they refer to, their lives, and what is resold.

use super::raw::{RawClass, RawModel, RawRedirect};
use super::read::Reader;
use super::{ClassRow, Lifecycle, ModelSheet, Redirect, TierRow};
use crate::sheet::{Factor, Factored, OutcomeMatrix, Outcomes, PriceLine, PriceSheet};
use gallerist_domain::Capabilities;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;

/// What models refer to by name.
pub(super) struct Named {
    pub shapes: BTreeMap<String, Arc<Capabilities>>,
    pub sheets: BTreeMap<String, Arc<PriceSheet>>,
    pub outcomes: BTreeMap<String, Arc<OutcomeMatrix>>,
}

impl Reader<'_> {
    pub(super) fn model(&mut self, raw: RawModel, named: &Named) -> Option<Arc<ModelSheet>> {
        let id = raw.id.get_ref().clone();
        if id.is_empty() || id.contains(['/', '@', '#', ' ']) {
            self.mistake(raw.id.span(), format!("{id:?} is no model name: leave out / @ # and spaces"));
        }
        let base = raw.resale_of.as_ref().map(|name| self.resold(name));
        let base = match base {
            Some(None) => return None,
            found => found.flatten(),
        };
        let capabilities = match (&raw.shape, &base) {
            (Some(name), _) => self.reference(&named.shapes, name, "shapes"),
            (None, Some(base)) => Some(Arc::clone(&base.capabilities)),
            (None, None) => self.missing(&raw.id, "shape"),
        };
        let sheet = self.prices(&raw, base.as_deref(), named);
        let default = Spanned::new(raw.id.span(), "default".to_owned());
        let usual = self.reference(&named.outcomes, raw.outcomes.as_ref().unwrap_or(&default), "outcomes");
        let by_operation = raw.outcomes_by_operation.iter().filter_map(|(operation, name)| {
            Some((*operation, self.reference(&named.outcomes, name, "outcomes")?))
        });
        let by_operation = by_operation.collect();
        let by_region = raw.outcomes_by_region.iter().filter_map(|(region, name)| {
            Some((region.clone(), self.reference(&named.outcomes, name, "outcomes")?))
        });
        let by_region = by_region.collect();
        let source = self.source(&raw.source);
        let released_at = base.as_ref().and_then(|base| base.lifecycle.released_at);
        let released_on = raw.released_on.as_ref().and_then(|text| self.date(text));
        let deprecated_on = raw.deprecated_on.as_ref().and_then(|text| self.date(text));
        let lifecycle = Lifecycle {
            // Nobody resells what its maker does not offer yet.
            released_at: released_on.and_then(midnight).or(released_at),
            deprecated: raw.deprecated || deprecated_on.is_some(),
            deprecated_on,
            retires_on: raw.retires_on.as_ref().and_then(|text| self.date(text)),
            successors: raw.successors,
            switched_off: raw.switched_off,
            redirect: raw.redirect.and_then(|raw| self.redirect(raw)),
        };
        let labels = capabilities.as_ref().map(|shape| shape.qualities.clone()).unwrap_or_default();
        let mut classes = self.classes(raw.classes, &labels);
        if let (true, Some(base)) = (classes.is_empty(), &base) {
            classes = base.classes.clone();
        }
        let tiers = raw.tiers.into_iter().map(|raw| TierRow { tier: raw.tier, latency_ms: raw.latency_ms });
        Some(Arc::new(ModelSheet {
            upstream: raw.upstream.unwrap_or_else(|| id.clone()),
            id,
            aliases: raw.aliases,
            versions: raw.versions.into_iter().collect(),
            resale_of: base.and_then(|base| {
                let (kind, _) = raw.resale_of.as_ref()?.get_ref().split_once('/')?;
                Some(format!("{kind}/{}", base.id))
            }),
            maker: raw.maker,
            lifecycle,
            capabilities: capabilities?,
            classes,
            regions: sheet.as_ref().map(|sheet| regions(sheet)).unwrap_or_default(),
            sheet: sheet?,
            outcomes: Arc::new(Outcomes { usual: usual?, by_operation, by_region }),
            tiers: tiers.collect(),
            latency_ms: raw.latency_ms,
            source: source?,
        }))
    }

    /// The prices of a model, or the reason why they are not known: silence about them is a mistake.
    fn prices(
        &mut self,
        raw: &RawModel,
        base: Option<&ModelSheet>,
        named: &Named,
    ) -> Option<Arc<PriceSheet>> {
        if let Some(why) = &raw.price_unknown {
            if raw.sheet.is_some() {
                self.mistake(why.span(), "a price is in `sheet` or it is unknown: leave one of the two out");
            }
            if why.get_ref().trim().is_empty() {
                self.mistake(why.span(), "`price_unknown` says why: \"the sheet names no price\"");
            }
            let unknown = Some(why.get_ref().clone());
            return Some(Arc::new(PriceSheet { unknown, ..PriceSheet::default() }));
        }
        match (&raw.sheet, base) {
            (Some(name), None) => self.reference(&named.sheets, name, "sheets"),
            (Some(name), Some(base)) => {
                let added = self.reference(&named.sheets, name, "sheets");
                added.map(|added| Arc::new(with_surcharge(&base.sheet, &added)))
            }
            (None, Some(base)) => Some(Arc::clone(&base.sheet)),
            (None, None) => self.missing(&raw.id, "sheet"),
        }
    }

    fn missing<T>(&mut self, id: &Spanned<String>, key: &str) -> Option<T> {
        let way_out = match key {
            "sheet" => {
                "only a resale can do without, or a model whose price nobody knows: `price_unknown` says why"
            }
            _ => "only a resale can do without",
        };
        let message = format!("model {:?} needs `{key}`; {way_out}", id.get_ref());
        self.mistake(id.span(), message);
        None
    }

    /// A model of another file, by `kind/model`.
    pub(super) fn model_of(&self, name: &str) -> Option<Arc<ModelSheet>> {
        let (kind, model) = name.split_once('/')?;
        let provider = self.known.iter().find(|provider| provider.kind == kind)?;
        provider.models.iter().find(|sheet| sheet.is_named(model)).cloned()
    }

    fn resold(&mut self, name: &Spanned<String>) -> Option<Arc<ModelSheet>> {
        let found = self.model_of(name.get_ref());
        let base_file = name.get_ref().split_once('/').map(|(kind, _)| format!("{kind}.toml"));
        let base_is_broken = base_file.is_some_and(|file| self.broken.contains(&file));
        if found.is_none() && !base_is_broken {
            let message = format!(
                "{:?} is not a model of another file, written kind/model; what is itself resold cannot be \
                 resold again",
                name.get_ref()
            );
            self.mistake(name.span(), message);
        }
        found
    }

    fn classes(&mut self, rows: Vec<RawClass>, labels: &[String]) -> Vec<ClassRow> {
        let mut classes = Vec::new();
        for row in rows {
            let label = row.quality.as_ref().filter(|label| !labels.contains(label.get_ref()));
            if let Some(label) = label {
                self.mistake(
                    label.span(),
                    format!("{:?} is not a quality of this model's shape", label.get_ref()),
                );
            }
            if let Some(source) = self.source(&row.source) {
                let quality = row.quality.map(Spanned::into_inner);
                classes.push(ClassRow { quality, resolution: row.resolution, class: row.class, source });
            }
        }
        classes
    }

    fn redirect(&mut self, raw: RawRedirect) -> Option<Redirect> {
        let (since, source) = (self.instant(&raw.since), self.source(&raw.source));
        Some(Redirect { to: raw.to, quality: raw.quality, since: since?, source: source? })
    }
}

/// The regions that conditions of a sheet name.
fn regions(sheet: &PriceSheet) -> Vec<String> {
    let whens = sheet.lines.iter().map(|line| &line.when);
    let whens = whens.chain(sheet.factors.iter().map(|factor| &factor.when));
    let mut found: Vec<String> = Vec::new();
    for terms in whens.filter_map(|when| when.terms()) {
        for region in terms.regions.iter().chain(&terms.regions_absent) {
            if !region.is_empty() && !found.contains(region) {
                found.push(region.clone());
            }
        }
    }
    found
}

/// When a day begins, UTC.
fn midnight(day: Date) -> Option<Timestamp> {
    day.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// The prices of a model with what a reseller adds: factors on them, and fees of its own.
fn with_surcharge(base: &PriceSheet, added: &PriceSheet) -> PriceSheet {
    let mut sheet = base.clone();
    let offset = u8::try_from(base.choices.len()).unwrap_or(u8::MAX);
    let fee = |line: &PriceLine| PriceLine {
        choice: line.choice.map(|choice| choice.saturating_add(offset)),
        factored: Factored::Never,
        ..line.clone()
    };
    sheet.choices.extend(added.choices.iter().cloned());
    sheet.lines.extend(added.lines.iter().map(fee));
    let on_top = |factor: &Factor| Factor { of_reseller: true, ..factor.clone() };
    sheet.factors.extend(added.factors.iter().map(on_top));
    sheet.estimates.extend(added.estimates.iter().cloned());
    sheet.outputs.extend(added.outputs.iter().cloned());
    sheet.allowances.extend(added.allowances.iter().cloned());
    sheet.marginal.extend(added.marginal.iter().cloned());
    if added.minimum.is_some() {
        sheet.minimum.clone_from(&added.minimum);
    }
    sheet
}
