//! From text to a checked [`ProviderSheet`], collecting every mistake on the way.

use super::entries::Table;
use super::raw::*;
use super::{ClassRow, Lifecycle, Mistake, ModelSheet, ProviderSheet, check};
use crate::sheet::*;
use gallerist_domain::money::MoneyError;
use gallerist_domain::{Capabilities, Decimal, Meter, Price, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::ops::Range as Span;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads one file.
///
/// # Errors
/// Every mistake that was found.
pub fn provider(file: &str, text: &str) -> Result<ProviderSheet, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader =
        Reader { file, text, mistakes: Vec::new(), sources: BTreeMap::new(), currencies: Vec::new() };
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
    mistakes: Vec<Mistake>,
    sources: BTreeMap<String, Arc<Source>>,
    currencies: Vec<Currency>,
}

impl Reader<'_> {
    pub(super) fn mistake(&mut self, span: Span<usize>, message: impl Into<String>) {
        let line = self.text[..span.start.min(self.text.len())].matches('\n').count() + 1;
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, message: message.into() });
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
        let outcomes: BTreeMap<String, Arc<OutcomeMatrix>> = self
            .spanned::<RawOutcomes>(&mut table, "outcomes")
            .into_iter()
            .map(|(name, span, rows)| {
                check::outcomes(self, &name, span, &rows);
                (name, Arc::new(OutcomeMatrix::new(rows.into_iter().collect())))
            })
            .collect();
        let shapes: BTreeMap<String, Arc<Capabilities>> = self
            .spanned::<Capabilities>(&mut table, "shapes")
            .into_iter()
            .map(|(name, span, shape)| {
                check::capabilities(self, &name, span, &shape);
                (name, Arc::new(shape))
            })
            .collect();
        let sheets = self.sheets(&mut table);
        let models = self
            .list::<RawModel>(&mut table, "models")
            .into_iter()
            .filter_map(|raw| {
                let span = raw.id.span();
                Some((span, self.model(raw, &shapes, &sheets, &outcomes)?))
            })
            .collect::<Vec<_>>();
        check::models(self, &models);
        let models = models.into_iter().map(|(_, model)| model).collect();
        let sheet = self.head(&mut table, models);
        for (key, _) in table {
            let known = "kind, adapter, title, as_of, key_variables, base_url, self_hosted, concurrency_max, sources, \
                         currencies, outcomes, shapes, sheets, models";
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
            currencies: self.currencies.clone(),
            models,
        })
    }

    fn sheets(&mut self, table: &mut Table<'_>) -> BTreeMap<String, Arc<PriceSheet>> {
        let mut out = BTreeMap::new();
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
                if let Some(line) = self.line(raw, &mut sheet.choices) {
                    sheet.lines.push(line);
                    spans.push(span);
                }
            }
            let raw_factors = self.list::<RawFactor>(&mut table, "factors");
            sheet.factors = raw_factors.into_iter().filter_map(|raw| self.factor(raw)).collect();
            let raw_estimates = self.list::<RawEstimate>(&mut table, "estimates");
            sheet.estimates = raw_estimates.into_iter().filter_map(|raw| self.estimate(raw)).collect();
            for (key, _) in table {
                self.mistake(
                    key.span(),
                    format!("a sheet holds prices, factors and estimates, not {:?}", key.get_ref()),
                );
            }
            // A sheet whose entries are wrong would be accused of gaps that it does not have.
            let whole = self.mistakes.len() == found_before;
            check::sheet(self, &name, span, &sheet, &spans, whole);
            out.insert(name, Arc::new(sheet));
        }
        out
    }

    fn model(
        &mut self,
        raw: RawModel,
        shapes: &BTreeMap<String, Arc<Capabilities>>,
        sheets: &BTreeMap<String, Arc<PriceSheet>>,
        outcomes: &BTreeMap<String, Arc<OutcomeMatrix>>,
    ) -> Option<Arc<ModelSheet>> {
        let id = raw.id.get_ref().clone();
        if id.is_empty() || id.contains(['/', '@', '#', ' ']) {
            self.mistake(raw.id.span(), format!("{id:?} is no model name: leave out / @ # and spaces"));
        }
        let capabilities = self.reference(shapes, &raw.shape, "shapes");
        let sheet = self.reference(sheets, &raw.sheet, "sheets");
        let default = Spanned::new(raw.id.span(), "default".to_owned());
        let outcomes = self.reference(outcomes, raw.outcomes.as_ref().unwrap_or(&default), "outcomes");
        let source = self.source(&raw.source);
        let lifecycle = Lifecycle {
            deprecated_on: raw.deprecated_on.as_ref().and_then(|text| self.date(text)),
            retires_on: raw.retires_on.as_ref().and_then(|text| self.date(text)),
            successors: raw.successors,
            switched_off: raw.switched_off,
        };
        let labels = capabilities.as_ref().map(|shape| shape.qualities.clone()).unwrap_or_default();
        let mut classes = Vec::new();
        for row in raw.classes {
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
        Some(Arc::new(ModelSheet {
            upstream: raw.upstream.unwrap_or_else(|| id.clone()),
            id,
            aliases: raw.aliases,
            versions: raw.versions.into_iter().collect(),
            maker: raw.maker,
            lifecycle,
            capabilities: capabilities?,
            classes,
            sheet: sheet?,
            outcomes: outcomes?,
            latency_ms: raw.latency_ms,
            source: source?,
        }))
    }

    fn line(&mut self, raw: RawLine, choices: &mut Vec<String>) -> Option<PriceLine> {
        let source = self.source(&raw.source);
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        let when = self.condition(raw.when.unwrap_or_default());
        let currency = raw.currency.as_ref();
        let per = raw.per.get_ref().checked_mul(raw.meter.base_units_per_unit()).filter(|per| *per > 0);
        if per.is_none() {
            self.mistake(raw.per.span(), "`per` is a whole number of at least 1");
        }
        let amount = self.amount(&raw.amount, currency);
        let amount_max = raw.amount_max.as_ref().map_or(amount, |text| self.amount(text, currency));
        if amount_max < amount {
            self.mistake(raw.amount.span(), "`amount_max` is below `amount`");
        }
        let base_units = |units: i64| units.saturating_mul(raw.meter.base_units_per_unit());
        // Left out: nothing is rounded, not even to a whole second or unit.
        let round_up = raw.round_up.as_ref().map_or(1, |value| base_units(*value.get_ref()));
        if round_up < 1 {
            self.mistake(raw.line.span(), "`round_up` is a whole number of at least 1");
        }
        let choice = raw.choice.map(|name| {
            let known = choices.iter().position(|choice| *choice == name);
            let index = known.unwrap_or_else(|| {
                choices.push(name);
                choices.len() - 1
            });
            u8::try_from(index).unwrap_or(u8::MAX)
        });
        if choice.is_some_and(|index| index >= 64) {
            self.mistake(raw.line.span(), "a sheet has at most 64 choices");
        }
        let each = raw.each.unwrap_or(if raw.meter == Meter::Calls { Each::Call } else { Each::Image });
        let unit = currency.map_or("USD", |code| code.get_ref());
        let written =
            written_price(&raw.amount, raw.amount_max.as_ref(), unit, *raw.per.get_ref(), raw.meter);
        Some(PriceLine {
            id: raw.line.into_inner(),
            meter: raw.meter,
            price: Price { amount: amount?, per: per? },
            price_max: Price { amount: amount_max?, per: per? },
            written,
            each,
            round_up,
            at_least: raw.at_least.map_or(0, base_units),
            from: raw.from.map_or(0, base_units),
            up_to: raw.up_to.map_or(i64::MAX, base_units),
            choice,
            only_reported: raw.only_reported,
            factored: raw.factored,
            when,
            period,
            source: source?,
        })
    }

    fn factor(&mut self, raw: RawFactor) -> Option<Factor> {
        if raw.numerator < 0 || raw.denominator < 1 {
            self.mistake(raw.factor.span(), "a factor is numerator ≥ 0 over denominator ≥ 1");
        }
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        let when = self.condition(raw.when.unwrap_or_default());
        let source = self.source(&raw.source)?;
        let id = raw.factor.into_inner();
        Some(Factor { id, numerator: raw.numerator, denominator: raw.denominator, when, period, source })
    }

    fn estimate(&mut self, raw: RawEstimate) -> Option<Estimate> {
        let when = self.condition(raw.when.unwrap_or_default());
        let source = self.source(&raw.source);
        let form = match raw.form {
            RawForm::Fixed { min, expected, max } => EstimateForm::Fixed(Range { min, expected, max }),
            RawForm::CanvasTokens { by_quality, min_per_mille, max_per_mille } => {
                let by_quality = by_quality.into_iter().collect();
                EstimateForm::CanvasTokens { by_quality, min_per_mille, max_per_mille }
            }
            RawForm::PromptTokens { characters_per_token, overhead } => {
                EstimateForm::PromptTokens { characters_per_token, overhead }
            }
            RawForm::StartedPixels { first, further, pixels, pixels_for_max } => {
                EstimateForm::StartedPixels { first, further, pixels, pixels_for_max }
            }
            RawForm::WorkTime { base, per_megapixel_step, min_per_mille, max_per_mille } => {
                EstimateForm::WorkTime { base, per_megapixel_step, min_per_mille, max_per_mille }
            }
            RawForm::PerPartial { tokens } => EstimateForm::PerPartial { tokens },
        };
        check::estimate(self, raw.meter.span(), &form);
        Some(Estimate { meter: *raw.meter.get_ref(), each: raw.each, form, when, source: source? })
    }
}

/// `text × rate` in dollars, exactly.
fn exact_ticks(text: &str, rate: Decimal) -> Result<Ticks, MoneyError> {
    let amount: Decimal = text.parse()?;
    let mantissa = amount.mantissa().checked_mul(rate.mantissa());
    let mantissa = mantissa.ok_or_else(|| MoneyError::OutOfRange(text.to_owned()))?;
    Decimal::new(mantissa, amount.scale() + rate.scale()).to_ticks_exact()
}

fn written_price(
    amount: &Spanned<String>,
    max: Option<&Spanned<String>>,
    unit: &str,
    per: i64,
    meter: Meter,
) -> String {
    let upper = max.map(|max| format!("–{}", max.get_ref())).unwrap_or_default();
    let per = if per == 1 { String::new() } else { format!("{per} ") };
    format!("{}{upper} {unit} / {per}{}", amount.get_ref(), meter.name())
}

/// The small words: dates, amounts, references, conditions.
impl Reader<'_> {
    fn source(&mut self, name: &Spanned<String>) -> Option<Arc<Source>> {
        let sources = std::mem::take(&mut self.sources);
        let found = self.reference(&sources, name, "sources");
        self.sources = sources;
        found
    }

    fn reference<T: Clone>(
        &mut self,
        known: &BTreeMap<String, T>,
        name: &Spanned<String>,
        place: &str,
    ) -> Option<T> {
        let found = known.get(name.get_ref()).cloned();
        if found.is_none() {
            let names = known.keys().cloned().collect::<Vec<_>>().join(", ");
            let message = format!("{:?} is not defined in [{place}]; defined are: {names}", name.get_ref());
            self.mistake(name.span(), message);
        }
        found
    }

    fn date(&mut self, text: &Spanned<String>) -> Option<Date> {
        let date = text.get_ref().parse::<Date>().ok();
        if date.is_none() {
            self.mistake(text.span(), format!("{:?} is not a date such as \"2026-11-22\"", text.get_ref()));
        }
        date
    }

    fn instant(&mut self, text: &Spanned<String>) -> Option<Timestamp> {
        let instant = text.get_ref().parse::<Timestamp>().ok();
        if instant.is_none() {
            let message = format!("{:?} is not an instant such as \"2026-10-01T15:00:00Z\"", text.get_ref());
            self.mistake(text.span(), message);
        }
        instant
    }

    fn period(&mut self, since: Option<&Spanned<String>>, until: Option<&Spanned<String>>) -> Period {
        Period {
            since: since.and_then(|text| self.instant(text)),
            until: until.and_then(|text| self.instant(text)),
        }
    }

    fn currency(&mut self, raw: RawCurrency) -> Option<Currency> {
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        let source = self.source(&raw.source);
        let usd = raw.usd.get_ref().parse::<Decimal>().ok();
        if usd.is_none() {
            self.mistake(raw.usd.span(), "`usd` is decimal text such as \"0.01\"");
        }
        Some(Currency { code: raw.code, usd: usd?, period, source: source? })
    }

    /// An amount in dollars; it must be a whole number of ticks.
    fn amount(&mut self, text: &Spanned<String>, currency: Option<&Spanned<String>>) -> Option<Ticks> {
        let rate = match currency {
            None => Decimal::ONE,
            Some(code) => {
                let known = self.currencies.iter().find(|currency| currency.code == *code.get_ref());
                let Some(rate) = known.map(|currency| currency.usd) else {
                    let message = format!("{:?} is not defined in [[currencies]]", code.get_ref());
                    self.mistake(code.span(), message);
                    return None;
                };
                rate
            }
        };
        let fault = match exact_ticks(text.get_ref(), rate) {
            Ok(ticks) if !ticks.is_negative() => return Some(ticks),
            Ok(_) => format!("{:?} is negative; an amount is at least 0", text.get_ref()),
            Err(MoneyError::TooFine(_)) => {
                let dollars = "finer than 0.0000000001 dollars; write the amount for a larger `per`";
                format!("{:?} is {dollars}", text.get_ref())
            }
            Err(_) => format!("{:?} is not an amount such as \"0.04\"", text.get_ref()),
        };
        self.mistake(text.span(), fault);
        None
    }

    fn condition(&mut self, raw: RawCondition) -> Condition {
        Condition {
            operations: raw.operations,
            qualities: raw.qualities,
            sizes: raw.sizes,
            resolutions: raw.resolutions,
            formats: raw.formats,
            tiers: raw.tiers,
            pixels_min: raw.pixels_min,
            pixels_max: raw.pixels_max,
            steps_min: raw.steps_min,
            steps_max: raw.steps_max,
            stream: raw.stream,
            window: raw.window.and_then(|window| check::window(self, window)),
        }
    }
}
