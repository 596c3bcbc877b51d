//! From text to a checked [`ProviderSheet`], collecting every mistake on the way.

use super::entries::Table;
use super::models::Named;
use super::raw::*;
use super::reach::Reach;
use super::{Mistake, ModelSheet, ProviderSheet, check};
use crate::sheet::*;
use gallerist_domain::Operation;
use std::collections::BTreeMap;
use std::ops::Range as Span;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads one file.
///
/// # Errors
/// Every mistake that was found.
/// `known` are the sheets of other files, whose models may be resold here; `broken` the files with mistakes.
pub fn provider(
    file: &str,
    text: &str,
    known: &[Arc<ProviderSheet>],
    broken: &[String],
) -> Result<ProviderSheet, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        text,
        known,
        broken,
        mistakes: Vec::new(),
        sources: BTreeMap::new(),
        currencies: Vec::new(),
        allowances: BTreeMap::new(),
    };
    for error in errors {
        reader.mistake(error.span().unwrap_or(0..0), error.message());
    }
    if !reader.mistakes.is_empty() {
        return Err(reader.mistakes);
    }
    let sheet = reader.provider(table.into_inner());
    match sheet {
        Some(sheet) if reader.mistakes.is_empty() => Ok(sheet),
        _ => Err(reader.mistakes),
    }
}

/// What is being read, and what was found wrong with it.
pub(super) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) known: &'a [Arc<ProviderSheet>],
    /// Files that have mistakes of their own.
    pub(super) broken: &'a [String],
    mistakes: Vec<Mistake>,
    pub(super) sources: BTreeMap<String, Arc<Source>>,
    pub(super) currencies: Vec<Currency>,
    /// Pools of the file by name, which several sheets may share.
    allowances: BTreeMap<String, Arc<Allowance>>,
}

/// Names and places of sheets without a price line.
type EmptySheets = Vec<(String, Span<usize>)>;

impl Reader<'_> {
    pub(super) fn mistake(&mut self, span: Span<usize>, message: impl Into<String>) {
        let line = self.text[..span.start.min(self.text.len())].matches('\n').count() + 1;
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, message: message.into() });
    }

    /// Whether nothing wrong has been found yet.
    pub(super) fn is_faultless(&self) -> bool {
        self.mistakes.is_empty()
    }

    fn provider(&mut self, mut table: Table<'_>) -> Option<ProviderSheet> {
        self.sources = self
            .named::<RawSource>(&mut table, "sources")
            .into_iter()
            .filter_map(|(name, raw)| {
                let date = self.date(&raw.date)?;
                Some((name, Arc::new(Source { what: raw.what, date, confidence: raw.confidence })))
            })
            .collect();
        self.currencies = self
            .list::<RawCurrency>(&mut table, "currencies")
            .into_iter()
            .filter_map(|raw| self.currency(raw))
            .collect();
        for raw in self.list::<RawAllowance>(&mut table, "allowances") {
            let place = raw.allowance.span();
            let Some(allowance) = self.allowance(raw) else { continue };
            if self.allowances.insert(allowance.id.clone(), Arc::new(allowance)).is_some() {
                self.mistake(place, "this allowance stands twice; sheets that name it share one pool");
            }
        }
        let outcomes: BTreeMap<String, Arc<OutcomeMatrix>> = self
            .spanned::<RawOutcomes>(&mut table, "outcomes")
            .into_iter()
            .map(|(name, span, rows)| {
                check::outcomes(self, &name, span, &rows);
                (name, Arc::new(OutcomeMatrix::new(rows.into_iter().collect())))
            })
            .collect();
        let shapes = self.shapes(&mut table);
        let raw_models = self.list::<RawModel>(&mut table, "models");
        let (sheets, empty) =
            self.sheets(&mut table, |reader, sheet| Reach::of(sheet, &raw_models, &shapes, reader));
        for (name, span) in empty {
            // What is added to another's prices may be factors alone.
            let added = |raw: &RawModel| raw.sheet.as_ref().is_some_and(|sheet| *sheet.get_ref() == name);
            if raw_models.iter().filter(|raw| added(raw)).all(|raw| raw.resale_of.is_none()) {
                let message = format!("sheet {name:?}: it has no price line; an unknown price is not zero");
                self.mistake(span, message);
            }
        }
        let named = Named { shapes, sheets, outcomes };
        let models = raw_models
            .into_iter()
            .filter_map(|raw| Some((raw.id.span(), self.model(raw, &named)?)))
            .collect::<Vec<_>>();
        check::models(self, &models);
        let models = models.into_iter().map(|(_, model)| model).collect();
        let sheet = self.head(&mut table, models);
        if let Some(sheet) = &sheet {
            check::served(self, sheet);
        }
        for (key, _) in table {
            let known = "kind, adapter, title, as_of, key_variables, base_url, self_hosted, concurrency_max, \
                         serves, sources, currencies, allowances, outcomes, shapes, sheets, models";
            self.mistake(key.span(), format!("unknown key {:?}; known are {known}", key.get_ref()));
        }
        sheet
    }

    fn head(&mut self, table: &mut Table<'_>, models: Vec<Arc<ModelSheet>>) -> Option<ProviderSheet> {
        let kind = self.required::<String>(table, "kind");
        let adapter = self.optional::<String>(table, "adapter");
        let title = self.required::<String>(table, "title");
        let as_of = self.required::<Spanned<String>>(table, "as_of").and_then(|text| self.date(&text));
        let key_variables = self.optional::<Vec<String>>(table, "key_variables").unwrap_or_default();
        let base_url = self.required::<String>(table, "base_url");
        let self_hosted = self.optional::<bool>(table, "self_hosted").unwrap_or_default();
        let concurrency_max = self.required::<u32>(table, "concurrency_max");
        // Whoever names an adapter wants to order there.
        let usual = if adapter.is_some() { vec![Operation::Generate] } else { Vec::new() };
        let serves = self.optional::<Vec<Operation>>(table, "serves").unwrap_or(usual);
        let kind = kind?;
        if self.file != format!("{kind}.toml") {
            self.mistake(0..0, format!("the kind {kind:?} belongs into a file named {kind}.toml"));
        }
        Some(ProviderSheet {
            adapter: adapter.unwrap_or_else(|| kind.clone()),
            kind,
            title: title?,
            as_of: as_of?,
            key_variables,
            base_url: base_url?,
            self_hosted,
            concurrency_max: concurrency_max?,
            serves,
            currencies: self.currencies.clone(),
            models,
        })
    }

    /// The sheets by name, and those that hold no price line with their places.
    fn sheets(
        &mut self,
        table: &mut Table<'_>,
        reach_of: impl Fn(&Self, &str) -> Option<Reach>,
    ) -> (BTreeMap<String, Arc<PriceSheet>>, EmptySheets) {
        let mut out = BTreeMap::new();
        let mut empty = Vec::new();
        for (name, value) in self.entries(table, "sheets") {
            let span = value.span();
            let DeValue::Table(mut table) = value.into_inner() else {
                self.mistake(span, format!("a sheet is a table: write [sheets.{name}]"));
                continue;
            };
            let found_before = self.mistakes.len();
            let raw_lines = self.list::<RawLine>(&mut table, "prices");
            let mut sheet = PriceSheet::default();
            let mut spans = Vec::new();
            for raw in raw_lines {
                let span = raw.line.span();
                let lines = self.lines(&raw, &mut sheet.choices);
                sheet.marginal.extend(self.marginal(&raw, &lines));
                spans.extend(lines.iter().map(|_| span.clone()));
                sheet.lines.extend(lines);
            }
            let raw_factors = self.list::<RawFactor>(&mut table, "factors");
            sheet.factors = raw_factors.into_iter().filter_map(|raw| self.factor(raw)).collect();
            let raw_estimates = self.list::<RawEstimate>(&mut table, "estimates");
            sheet.estimates = raw_estimates.into_iter().filter_map(|raw| self.estimate(raw)).collect();
            sheet.minimum = self.minimum(&mut table);
            let pools = self.list::<Spanned<String>>(&mut table, "allowances");
            let known = self.allowances.clone();
            let pool = |name: &Spanned<String>| self.reference(&known, name, "[allowances]");
            sheet.allowances = pools.iter().filter_map(pool).collect();
            let raw_outputs = self.list::<RawOutputs>(&mut table, "outputs");
            sheet.outputs = raw_outputs.into_iter().filter_map(|raw| self.outputs(raw)).collect();
            let raw_bundles = self.list::<RawBundle>(&mut table, "bundles");
            let bundle = |raw: RawBundle| Bundle { operation: raw.operation, chain: raw.chain };
            sheet.bundles = raw_bundles.into_iter().map(bundle).collect();
            for (key, _) in table {
                let known = "prices, factors, estimates, outputs, minimum, allowances and bundles";
                self.mistake(key.span(), format!("a sheet holds {known}, not {:?}", key.get_ref()));
            }
            // A sheet whose entries are wrong would be accused of gaps that it does not have.
            let whole = self.mistakes.len() == found_before;
            check::sheet(self, &name, &sheet, &spans, whole);
            if let Some(reach) = reach_of(self, &name).filter(|_| whole) {
                reach.sheet(self, &name, &sheet, (&spans, &span));
            }
            empty.extend(sheet.lines.is_empty().then(|| (name.clone(), span)).filter(|_| whole));
            out.insert(name, Arc::new(sheet));
        }
        (out, empty)
    }
}
