//! One worked case: a call, and what it costs by hand.

use gallerist_domain::{ImageCall, Ingredients, Metered, OptionWord, Size, Sizes, Ticks};
use gallerist_pricing::catalogue::ModelSheet;
use gallerist_pricing::learned::{Lesson, learned};
use gallerist_pricing::{
    Bounds, Catalogue, Comparison, Evidence, Facts, ProviderSheet, bounds, marginal, settle,
};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub what: String,
    /// The billing forms that it shows, by their words in [`crate::forms::FORMS`].
    #[serde(default)]
    pub forms: Vec<String>,
    pub model: String,
    #[serde(default = "day_of_the_sheets")]
    at: Timestamp,
    operation: Option<gallerist_domain::Operation>,
    #[serde(default = "one")]
    n: u32,
    size: Option<Size>,
    quality: Option<String>,
    resolution: Option<String>,
    steps: Option<u32>,
    guidance_milli: Option<u32>,
    tier: Option<String>,
    #[serde(default)]
    region: String,
    #[serde(default)]
    partial_images: u8,
    /// ASCII characters of the prompt.
    #[serde(default = "forty")]
    prompt_characters: usize,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    ingredients: Ingredients,
    /// What it costs, where the sheet leaves nothing open …
    pub usd: Option<Ticks>,
    /// … else the bounds.
    min_usd: Option<Ticks>,
    pub expected_usd: Option<Ticks>,
    max_usd: Option<Ticks>,
    /// The sheet does not say what this costs: it must be refused.
    #[serde(default)]
    pub unpriced: bool,
    /// Pictures that came, where it is not as many as were asked for.
    made: Option<u32>,
    /// Counts of the provider, in base units by meter, and what they come to.
    #[serde(default)]
    usage: BTreeMap<String, i64>,
    settled_usd: Option<Ticks>,
    /// What past charges of such calls counted, a picture each, in base units of the meter that is learned.
    #[serde(default)]
    past: Vec<i64>,
    /// What it adds where its hardware is paid anyway.
    marginal_usd: Option<Ticks>,
    /// What the operations of a bundle are expected to cost apart.
    chain_usd: Option<Ticks>,
    pub arithmetic: String,
    pub source: String,
}

pub fn day_of_the_sheets() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("an instant")
}

const fn one() -> u32 {
    1
}

const fn forty() -> usize {
    40
}

impl Case {
    fn call(&self, model: &ModelSheet) -> ImageCall {
        let shape = &model.capabilities;
        let size = self.size.unwrap_or(shape.size_default);
        let mut call = ImageCall::example(&model.upstream, size);
        call.prompt = "a".repeat(self.prompt_characters);
        call.operation = self.operation.unwrap_or(shape.operations[0]);
        call.n = self.n;
        call.quality = self.quality.clone().unwrap_or_else(|| shape.quality_default.clone());
        call.steps = self.steps.or(shape.steps.map(|limit| limit.default)).unwrap_or(0);
        call.guidance_milli = self.guidance_milli;
        call.output_format = shape.format_default;
        call.tier = self.tier.clone().unwrap_or(call.tier);
        call.region = self.region.clone();
        call.stream = self.partial_images > 0;
        call.partial_images = self.partial_images;
        call.resolution = self.resolution.clone().unwrap_or_else(|| match &shape.sizes {
            Sizes::Ratios(rows) => {
                rows.iter().find(|row| row.size == size).map(|row| row.resolution.clone()).unwrap_or_default()
            }
            _ => String::new(),
        });
        let word =
            |(name, value): (&String, &String)| OptionWord { name: name.clone(), value: value.clone() };
        call.option_words = self.options.iter().map(word).collect();
        call.ingredients = self.ingredients.clone();
        call
    }

    pub fn check(&self, catalogue: &Catalogue, kind: &str) -> Result<(), String> {
        let provider = catalogue.provider(kind).ok_or("no such kind")?;
        let model =
            provider.models.iter().find(|model| model.is_named(&self.model)).ok_or("no such model")?;
        let call = self.call(model);
        let mut facts = Facts::of(&call);
        if !self.past.is_empty() {
            let lesson = Lesson::of(&model.sheet).ok_or("the sheet learns nothing")?;
            facts.learned = learned(&self.past).map(|range| lesson.taught(range));
        }
        let quoted = bounds(&model.sheet, &facts, self.at);
        if self.unpriced {
            return quoted.map_or(Ok(()), |bounds| Err(format!("is quoted at {bounds:?}, not refused")));
        }
        let quoted = quoted.map_err(|unpriced| unpriced.to_string())?;
        let given = |own: Option<Ticks>| own.or(self.usd);
        let open = "says `usd`, or `min_usd`, `expected_usd` and `max_usd`";
        let wanted = Bounds {
            min: given(self.min_usd).ok_or(open)?,
            expected: given(self.expected_usd).ok_or(open)?,
            max: given(self.max_usd).ok_or(open)?,
        };
        if quoted != wanted {
            return Err(format!("is quoted at\n  {quoted:?}, by hand it is\n  {wanted:?}"));
        }
        self.check_beside(model, &facts)?;
        self.check_settled(provider, model, &facts)
    }

    /// The prices beside the one that is charged.
    fn check_beside(&self, model: &ModelSheet, facts: &Facts<'_>) -> Result<(), String> {
        if let Some(wanted) = self.marginal_usd {
            let adds = marginal::expected(&model.sheet, facts, self.at);
            let adds = adds.map_err(|unpriced| unpriced.to_string())?;
            if adds != wanted {
                return Err(format!("adds {adds}, by hand {wanted}"));
            }
        }
        if let Some(wanted) = self.chain_usd {
            let apart = Comparison::of(&model.sheet, facts, self.at).ok_or("is no bundle")?;
            if apart.chain.expected != wanted {
                return Err(format!("costs {} apart, by hand {wanted}", apart.chain.expected));
            }
        }
        Ok(())
    }

    fn check_settled(
        &self,
        provider: &ProviderSheet,
        model: &ModelSheet,
        facts: &Facts<'_>,
    ) -> Result<(), String> {
        let Some(settled) = self.settled_usd else { return Ok(()) };
        let meter = |name: &str| {
            let meter = gallerist_domain::Meter::ALL.iter().find(|meter| meter.name() == name);
            meter.copied().ok_or_else(|| format!("there is no meter {name}"))
        };
        let usage = self
            .usage
            .iter()
            .map(|(name, quantity)| Ok::<_, String>(Metered { meter: meter(name)?, quantity: *quantity }));
        let usage = usage.collect::<Result<Vec<_>, _>>()?;
        let evidence = Evidence { images: self.made.unwrap_or(self.n), usage: &usage, reported: None };
        let charge = settle(&model.sheet, &provider.currencies, facts, evidence, self.at);
        let charged = charge.map_err(|unpriced| unpriced.to_string())?.amount;
        if charged == settled { Ok(()) } else { Err(format!("settles at {charged}, by hand at {settled}")) }
    }
}
