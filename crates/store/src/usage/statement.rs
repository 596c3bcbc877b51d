//! The texts of the statements: the same figures from the raw rows and from the roll-ups.
//!
//! Every figure is a sum over cells (a request's attempts at one provider and model), so figures of different
//! days and sources may be added. It refuses values: those are the caller's parameters.

use std::fmt::Write;

use super::{UsageKey, UsageQuery};

/// What rows are kept and grouped by inside of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Project,
    Key,
    User,
    Tags,
    Operation,
    Provider,
    Model,
    Day,
}

impl Dimension {
    pub(super) fn of(key: &UsageKey) -> Dimension {
        match key {
            UsageKey::Project => Dimension::Project,
            UsageKey::Key => Dimension::Key,
            UsageKey::User => Dimension::User,
            UsageKey::Tag | UsageKey::TagNamed(_) => Dimension::Tags,
            UsageKey::Provider => Dimension::Provider,
            UsageKey::Model => Dimension::Model,
            UsageKey::Operation => Dimension::Operation,
            UsageKey::Day => Dimension::Day,
        }
    }

    const fn raw(self) -> &'static str {
        match self {
            Dimension::Project => "p.name",
            Dimension::Key => "coalesce(r.key_id, '')",
            Dimension::User => "coalesce(r.end_user, '')",
            Dimension::Tags => "coalesce(r.tags_json, '')",
            Dimension::Operation => "r.operation",
            Dimension::Provider => "coalesce(a.provider, '')",
            Dimension::Model => "coalesce(a.model, '')",
            Dimension::Day => "r.created_at / 86400000000",
        }
    }

    const fn rolled(self) -> &'static str {
        match self {
            Dimension::Project => "p.name",
            Dimension::Key => "u.key_id",
            Dimension::User => "u.end_user",
            Dimension::Tags => "u.tags_json",
            Dimension::Operation => "u.operation",
            Dimension::Provider => "u.provider",
            Dimension::Model => "u.model",
            Dimension::Day => "u.day",
        }
    }

    const fn of_attempt(self) -> bool {
        matches!(self, Dimension::Provider | Dimension::Model)
    }

    const fn of_payer(self) -> bool {
        matches!(self, Dimension::User | Dimension::Tags)
    }
}

/// Whether this attempt stands for its request: the first that delivered, else the first. Most are the only
/// one, and are told without a look at others.
const CARRIES: &str = "(a.row IS NULL OR (a.number = 1 AND a.images > 0) OR NOT EXISTS (
        SELECT 1 FROM attempts c WHERE c.request = r.number AND ((c.images > 0 AND a.images = 0)
            OR (c.number < a.number AND (c.images > 0 OR a.images = 0)))))";
const FIRST_OF_PROVIDER: &str = "(a.number = 1 OR (a.row IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempts c
        WHERE c.request = r.number AND c.number < a.number AND c.provider = a.provider)))";
const FIRST_OF_MODEL: &str = "(a.number = 1 OR (a.row IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempts c
        WHERE c.request = r.number AND c.number < a.number AND c.model = a.model)))";
const FIRST_OF_BOTH: &str = "(a.number = 1 OR (a.row IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempts c
        WHERE c.request = r.number AND c.number < a.number AND c.provider = a.provider AND c.model = a.model)))";

/// How requests are counted: once in all, or once in each provider, model, or pair of them.
const COUNTS: [(&str, &str); 4] = [
    ("requests", CARRIES),
    ("requests_provider", FIRST_OF_PROVIDER),
    ("requests_model", FIRST_OF_MODEL),
    ("requests_both", FIRST_OF_BOTH),
];

/// Columns of the roll-ups behind the four counts, with what they are of the raw rows. `?carries` stands for
/// [`CARRIES`].
const MEASURES: [(&str, &str); 19] = [
    ("images", "coalesce(sum(a.images), 0)"),
    ("attempts", "count(a.row)"),
    ("charged", "coalesce(sum(a.charged_ticks), 0)"),
    ("wasted", "coalesce(sum(a.charged_ticks) FILTER (WHERE a.images = 0), 0)"),
    ("disputed", "coalesce(sum(a.reserved_ticks) FILTER (WHERE a.status = 'disputed'), 0)"),
    ("listed", "count(r.list_ticks) FILTER (WHERE ?carries)"),
    ("list", "coalesce(sum(r.list_ticks) FILTER (WHERE ?carries), 0)"),
    ("compared", "count(r.saved_ticks) FILTER (WHERE ?carries)"),
    ("saved", "coalesce(sum(r.saved_ticks) FILTER (WHERE ?carries), 0)"),
    ("tiered", "count(r.saved_ticks) FILTER (WHERE ?carries AND a.offer LIKE '%#%')"),
    ("saved_tier", "coalesce(sum(r.saved_ticks) FILTER (WHERE ?carries AND a.offer LIKE '%#%'), 0)"),
    ("covered", "coalesce(sum((SELECT sum(c.covered_ticks) FROM credit_uses c WHERE c.attempt = a.row)), 0)"),
    ("consumed", "coalesce(sum((SELECT sum(c.cost_ticks) FROM credit_uses c WHERE c.attempt = a.row)), 0)"),
    ("by_provider", "coalesce(sum(a.charged_ticks) FILTER (WHERE a.basis = 'provider_reported'), 0)"),
    ("by_usage", "coalesce(sum(a.charged_ticks) FILTER (WHERE a.basis = 'usage'), 0)"),
    ("by_formula", "coalesce(sum(a.charged_ticks) FILTER (WHERE a.basis = 'computed'), 0)"),
    ("by_estimate", "coalesce(sum(a.charged_ticks) FILTER (WHERE a.basis = 'estimated'), 0)"),
    ("doubtful", "coalesce(sum(a.doubtful_ticks), 0)"),
    ("list_doubtful", "coalesce(sum(r.list_doubtful_ticks) FILTER (WHERE ?carries), 0)"),
];

/// Figures in a row of an answer, behind its dimensions: the requests and every measure.
pub(super) const FIGURES: usize = 1 + MEASURES.len();
/// Figures in a row of a roll-up.
pub(super) const STORED: usize = COUNTS.len() + MEASURES.len();

/// What a query asks of a statement: its dimensions, and the places of its filters' values behind `?1` and
/// `?2`, the bounds.
pub(crate) struct Asked {
    pub(super) dimensions: Vec<Dimension>,
    filters: Vec<Dimension>,
    payers: bool,
    count: usize,
    of_attempts: bool,
}

impl Asked {
    pub(crate) fn of(query: &UsageQuery, group_by: &[UsageKey]) -> Asked {
        let mut dimensions: Vec<Dimension> = Vec::new();
        // Tags are taken apart outside of the database.
        let tags = query.tag.is_some().then_some(Dimension::Tags);
        for dimension in group_by.iter().map(Dimension::of).chain(tags) {
            if !dimensions.contains(&dimension) {
                dimensions.push(dimension);
            }
        }
        let filters: Vec<Dimension> = query.filters().map(|(dimension, _)| dimension).collect();
        let touched = |dimension| dimensions.contains(&dimension) || filters.contains(&dimension);
        let (provider, model) = (touched(Dimension::Provider), touched(Dimension::Model));
        let payers = dimensions.iter().chain(&filters).any(|dimension| dimension.of_payer());
        let count = usize::from(provider) + 2 * usize::from(model);
        let of_attempts = dimensions.iter().chain(&filters).any(|dimension| dimension.of_attempt());
        Asked { dimensions, filters, payers, count, of_attempts }
    }

    /// Over the raw rows that were accepted from `?1` on and before `?2`, in microseconds.
    pub(crate) fn raw(&self) -> String {
        let figures = format!("count(*) FILTER (WHERE {})", COUNTS[self.count].1);
        // A request without attempts has no provider and no model.
        let join = if self.of_attempts { "JOIN" } else { "LEFT JOIN" };
        let source = format!(
            "FROM requests r JOIN projects p ON p.number = r.project
            {join} attempts a ON a.request = r.number WHERE r.created_at >= ?1 AND r.created_at < ?2"
        );
        let measures = MEASURES.iter().fold(figures, |text, (_, measure)| format!("{text}, {measure}"));
        self.whole(Dimension::raw, &measures.replace("?carries", CARRIES), &source)
    }

    /// Over the roll-ups of the days from `?1` on and before `?2`.
    pub(crate) fn rolled(&self) -> String {
        let figures = format!("sum(u.{})", COUNTS[self.count].0);
        let measures = MEASURES.iter().fold(figures, |text, (name, _)| format!("{text}, sum(u.{name})"));
        let table = if self.payers { "usage_days_payers" } else { "usage_days" };
        let touched = if self.of_attempts { " AND u.provider <> ''" } else { "" };
        let source = format!(
            "FROM {table} u JOIN projects p ON p.number = u.project
            WHERE u.day >= ?1 AND u.day < ?2{touched}"
        );
        self.whole(Dimension::rolled, &measures, &source)
    }

    fn whole(&self, name: fn(Dimension) -> &'static str, figures: &str, source: &str) -> String {
        let mut text = "SELECT ".to_owned();
        for dimension in &self.dimensions {
            let _ = write!(text, "{}, ", name(*dimension));
        }
        let _ = write!(text, "{figures} {source}");
        for (at, filter) in self.filters.iter().enumerate() {
            let _ = write!(text, " AND {} = ?{}", name(*filter), at + 3);
        }
        if self.dimensions.is_empty() {
            // A sum over nothing is no row.
            text.push_str(" HAVING count(*) > 0");
        }
        for at in 1..=self.dimensions.len() {
            let _ = write!(text, "{} {at}", if at == 1 { " GROUP BY" } else { "," });
        }
        text
    }
}

/// A roll-up's keys in the order of its columns, behind the day.
fn keys(payers: bool) -> &'static [(&'static str, &'static str)] {
    const PAYERS: [(&str, &str); 7] = [
        ("project", "r.project"),
        ("key_id", Dimension::Key.raw()),
        ("end_user", Dimension::User.raw()),
        ("tags_json", Dimension::Tags.raw()),
        ("operation", Dimension::Operation.raw()),
        ("provider", Dimension::Provider.raw()),
        ("model", Dimension::Model.raw()),
    ];
    const PLAIN: [(&str, &str); 5] = [PAYERS[0], PAYERS[1], PAYERS[4], PAYERS[5], PAYERS[6]];
    if payers { &PAYERS } else { &PLAIN }
}

fn table(payers: bool) -> &'static str {
    if payers { "usage_days_payers" } else { "usage_days" }
}

/// Texts among the keys of a roll-up, behind the project.
pub(super) fn texts(payers: bool) -> usize {
    keys(payers).len() - 1
}

fn columns(payers: bool) -> String {
    let names = keys(payers).iter().map(|(name, _)| *name);
    let names = names.chain(COUNTS.iter().map(|(name, _)| *name));
    names.chain(MEASURES.iter().map(|(name, _)| *name)).collect::<Vec<_>>().join(", ")
}

/// The rows of a roll-up as they should be, from the raw rows between `?1` and `?2`, in microseconds.
pub(crate) fn cells(payers: bool) -> String {
    let keys = keys(payers);
    let mut text: Vec<String> = keys.iter().map(|(_, raw)| (*raw).to_owned()).collect();
    text.extend(COUNTS.iter().map(|(_, is)| format!("count(*) FILTER (WHERE {is})")));
    text.extend(MEASURES.iter().map(|(_, measure)| measure.replace("?carries", CARRIES)));
    let places: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
    let places = places.join(", ");
    format!(
        "SELECT {} FROM requests r LEFT JOIN attempts a ON a.request = r.number
        WHERE r.created_at >= ?1 AND r.created_at < ?2 GROUP BY {places} ORDER BY {places}",
        text.join(", ")
    )
}

/// The rows of day `?1` as they are.
pub(crate) fn stored(payers: bool) -> String {
    let keys: Vec<&str> = keys(payers).iter().map(|(name, _)| *name).collect();
    let (columns, table) = (columns(payers), table(payers));
    format!("SELECT {columns} FROM {table} WHERE day = ?1 ORDER BY {}", keys.join(", "))
}

/// Writes one row: the day, its keys, its figures.
pub(crate) fn insert(payers: bool) -> String {
    let places: Vec<String> = (1..=1 + keys(payers).len() + STORED).map(|at| format!("?{at}")).collect();
    format!("INSERT INTO {} (day, {}) VALUES ({})", table(payers), columns(payers), places.join(", "))
}

/// Deletes the rows of day `?1`.
pub(crate) fn delete(payers: bool) -> String {
    format!("DELETE FROM {} WHERE day = ?1", table(payers))
}
