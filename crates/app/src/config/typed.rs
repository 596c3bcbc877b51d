//! The settings file as it is written: which names exist, and where each value stands.
//!
//! Entries are read one by one, so that a mistake in one does not hide those in others. Unknown names are
//! mistakes. What the values mean is decided in `config.rs` and `providers.rs`. It refuses secrets: a key
//! is named by `key_env` or `key_file`, never written here.

use super::Mistakes;
use super::feeds::TypedMapping;
use gallerist_routing::slip_of;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A value with the file and line that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub value: T,
    pub place: String,
}

/// The whole file. Each field is the entry of the same name; absent means the default.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    /// `HOST:PORT`; default 127.0.0.1:8080.
    pub listen: Option<Written<String>>,
    /// `https://HOST`, where clients reach the gateway; default what their requests say.
    pub public_url: Option<Written<String>>,
    /// Database that several gateways share: `url` of `[store]`; default SQLite in `data_dir`.
    pub store_url: Option<Written<String>>,
    /// Redis or Valkey server on which several gateways count rates and tell which offers rest: `url` of `[redis]`; default none.
    pub redis_url: Option<Written<String>>,
    /// Folder of the books.
    pub data_dir: Option<Written<PathBuf>>,
    /// Folder with catalogue files that replace or join the embedded ones.
    pub catalogue_dir: Option<Written<PathBuf>>,
    /// Whether models count that articles describe and no public price sheet confirms; default no.
    pub catalogue_described: Option<bool>,
    /// The offer that savings of routes are measured against; default none.
    pub baseline: Option<Written<String>>,
    /// From acceptance to answer, milliseconds, 1,000 to 3,600,000; default 300,000.
    pub deadline_ms: Option<Written<u64>>,
    /// How deep pictures are checked: `header` (default) or `pixels`.
    pub check: Option<Written<String>>,
    /// Cap of the project `default` in dollars, as text; default none.
    pub cap_usd: Option<Written<String>>,
    /// Whether a prompt that one provider refused is tried at another; default false.
    pub moderation_failover: Option<bool>,
    /// Whether webhooks may lead to private addresses, and be without TLS; default no.
    pub webhooks_private: Option<bool>,
    /// Minutes between questions to providers of what is left of prepaid credits, 0 (never) to 10,080; default 60.
    pub balance_minutes: Option<Written<u32>>,
    /// Dollars up to which their word and the books may differ, as text; default 1.
    pub credits_drift_usd: Option<Written<String>>,
    /// Whether prompts are stored with their requests; default false.
    pub store_prompts: Option<bool>,
    /// Days that requests are kept, 7 to 36,500; default for ever. Usage keeps its sums.
    pub retention_days: Option<Written<u32>>,
    pub providers: Vec<TypedProvider>,
    /// Where prices are polled.
    pub feeds: Vec<TypedFeed>,
    /// Named policies; `auto` may be among them.
    pub routes: Vec<TypedRoute>,
    /// From a name that is gone to the one that takes its place.
    pub migrations: Vec<(String, Written<String>)>,
}

/// One table `[routes.NAME]`.
#[derive(Clone, Debug)]
pub(super) struct TypedRoute {
    /// File and line of the name.
    pub place: String,
    pub name: String,
    /// Names of models or ids of offers; default all.
    pub models: Option<Written<TypedChoice>>,
    /// Names of providers; default all.
    pub providers: Option<Written<TypedChoice>>,
    /// `cost` (default), `latency` or `quality`.
    pub objective: Option<Written<String>>,
    /// The least class, `draft`, `standard` or `high`; default `standard`, which a request may lower.
    pub class: Option<Written<String>>,
    /// Most dollars that a request may hold and charge, as text; default none.
    pub max_cost_usd: Option<Written<String>>,
    /// `auto` (default), `batch`, `standard` or `priority`.
    pub tier: Option<Written<String>>,
    /// As the entries of the same names above; default theirs.
    pub check: Option<Written<String>>,
    pub moderation_failover: Option<Written<bool>>,
    pub baseline: Option<Written<String>>,
}

/// `{ only = [...], exclude = [...] }`, as in a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { only = [\"bfl\"] } or { exclude = [\"fal\"] }"
)]
pub(super) struct TypedChoice {
    /// Empty for all.
    pub only: Vec<String>,
    pub exclude: Vec<String>,
}

impl Typed {
    /// The variables that it names.
    pub(super) fn variables(&self) -> Vec<&str> {
        let of_providers = self.providers.iter().filter_map(|one| one.key_env.as_ref());
        let of_feeds = self.feeds.iter().filter_map(|one| one.key_env.as_ref());
        of_providers.chain(of_feeds).map(|written| written.value.as_str()).collect()
    }
}

/// One entry of `[[feeds]]`.
#[derive(Clone, Debug)]
pub(super) struct TypedFeed {
    /// File and line of the entry.
    pub place: String,
    /// One of the forms that feeds have.
    pub kind: Option<Written<String>>,
    pub url: Option<Written<String>>,
    /// Default: the kind.
    pub name: Option<Written<String>>,
    /// Minutes between two polls; default 60.
    pub every_minutes: Option<Written<u32>>,
    /// The same in seconds, instead.
    pub every_seconds: Option<Written<u32>>,
    /// Seconds for the whole of a poll; default 60.
    pub timeout_seconds: Option<Written<u32>>,
    /// Minutes after which what was told last is called stale; default three polls.
    pub stale_minutes: Option<Written<u32>>,
    /// The variable that holds the key, sent as a bearer token; default none.
    pub key_env: Option<Written<String>>,
    /// How far a price may move before it is held; default 3.
    pub jump_factor: Option<Written<u32>>,
    /// Further polls that confirm a held price by agreeing with it; default 0, only a person confirms.
    pub agreeing_polls: Option<Written<u32>>,
    /// Offers (`kind/model`) or kinds that it is believed about; default all that it speaks of.
    pub offers: Option<Written<Vec<String>>>,
    /// Of a `json` feed: where each line's price stands.
    pub prices: Option<Written<Vec<TypedMapping>>>,
}

/// One entry of `[[providers]]`.
#[derive(Clone, Debug)]
pub(super) struct TypedProvider {
    /// File and line of the entry.
    pub place: String,
    /// Default: the kind.
    pub name: Option<Written<String>>,
    pub kind: Option<Written<String>>,
    /// With the path that the vendor's SDK would take; default the catalogue's.
    pub base_url: Option<Written<String>>,
    /// The variable that holds the key; default the customary ones of the kind.
    pub key_env: Option<Written<String>>,
    /// The file that holds the key and nothing else.
    pub key_file: Option<Written<PathBuf>>,
    /// Deployment or region of the account, where prices depend on it: a word of the kind's price conditions.
    pub region: Option<Written<String>>,
    /// Calls in flight, 1 to 10,000; default the catalogue's.
    pub concurrency_max: Option<Written<u32>>,
    /// Pictures that the account may begin in any minute, 1 to 1,000,000; default no limit.
    pub images_per_minute: Option<Written<u32>>,
}

/// Reads `text`; every mistake is added, and what could be read is returned.
pub(super) fn read(file: &str, text: &str, mistakes: &mut Mistakes) -> Typed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { file, text, mistakes };
    for error in &errors {
        reader.mistake(error.span().unwrap_or(0..0), error.message());
    }
    if !errors.is_empty() {
        return Typed::default();
    }
    let mut table = table.into_inner();
    let (balance_minutes, credits_drift_usd) = reader.credits(&mut table);
    let typed = Typed {
        listen: reader.take(&mut table, "listen"),
        public_url: reader.take(&mut table, "public_url"),
        store_url: reader.url_of(&mut table, "store"),
        redis_url: reader.url_of(&mut table, "redis"),
        data_dir: reader.take(&mut table, "data_dir"),
        catalogue_dir: reader.take(&mut table, "catalogue_dir"),
        catalogue_described: reader.take(&mut table, "catalogue_described").map(|written| written.value),
        baseline: reader.take(&mut table, "baseline"),
        deadline_ms: reader.take(&mut table, "deadline_ms"),
        check: reader.take(&mut table, "check"),
        cap_usd: reader.take(&mut table, "cap_usd"),
        moderation_failover: reader.take(&mut table, "moderation_failover").map(|written| written.value),
        webhooks_private: reader.webhooks_private(&mut table),
        balance_minutes,
        credits_drift_usd,
        store_prompts: reader.take(&mut table, "store_prompts").map(|written| written.value),
        retention_days: reader.take(&mut table, "retention_days"),
        providers: reader.providers(&mut table),
        feeds: reader.feeds(&mut table),
        routes: reader.routes(&mut table),
        migrations: reader.migrations(&mut table),
    };
    reader.refuse_rest(
        table,
        "listen, public_url, data_dir, catalogue_dir, catalogue_described, baseline, deadline_ms, check, cap_usd, \
         moderation_failover, store_prompts, retention_days, store, redis, webhooks, credits, providers, feeds, \
         routes, migrations",
    );
    typed
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.file)
    }

    fn mistake(&mut self, span: Range<usize>, message: impl fmt::Display) {
        let place = self.place(&span);
        self.mistakes.add(place, message);
    }

    fn take<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, name: &str) -> Option<Written<T>> {
        let value = table.remove(name)?;
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(Written { value, place: self.place(&span) }),
            Err(error) => {
                self.mistake(error.span().unwrap_or(span), format!("{name}: {}", plainly(error.message())));
                None
            }
        }
    }

    /// The one entry of `[webhooks]`.
    fn webhooks_private(&mut self, table: &mut DeTable<'_>) -> Option<bool> {
        let value = table.remove("webhooks")?;
        let span = value.span();
        let DeValue::Table(mut entries) = value.into_inner() else {
            self.mistake(span, "webhooks is a table: write [webhooks] and its entries below");
            return None;
        };
        let private = self.take(&mut entries, "allow_private").map(|written| written.value);
        self.refuse_rest(entries, "allow_private");
        private
    }

    /// The entries of `[credits]`.
    fn credits(&mut self, table: &mut DeTable<'_>) -> (Option<Written<u32>>, Option<Written<String>>) {
        let Some(value) = table.remove("credits") else { return (None, None) };
        let span = value.span();
        let DeValue::Table(mut entries) = value.into_inner() else {
            self.mistake(span, "credits is a table: write [credits] and its entries below");
            return (None, None);
        };
        let (minutes, drift) =
            (self.take(&mut entries, "balance_minutes"), self.take(&mut entries, "drift_usd"));
        self.refuse_rest(entries, "balance_minutes, drift_usd");
        (minutes, drift)
    }

    /// The one entry of `[store]` and of `[redis]`.
    fn url_of(&mut self, table: &mut DeTable<'_>, name: &str) -> Option<Written<String>> {
        let value = table.remove(name)?;
        let span = value.span();
        let DeValue::Table(mut entries) = value.into_inner() else {
            self.mistake(span, format!("{name} is a table: write [{name}] and its entries below"));
            return None;
        };
        let url = self.take(&mut entries, "url");
        self.refuse_rest(entries, "url");
        url
    }

    fn providers(&mut self, table: &mut DeTable<'_>) -> Vec<TypedProvider> {
        let Some(value) = table.remove("providers") else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            self.mistake(span, "providers is a list: write [[providers]]");
            return Vec::new();
        };
        entries.into_iter().filter_map(|entry| self.provider(entry)).collect()
    }

    fn provider(&mut self, entry: Spanned<DeValue<'_>>) -> Option<TypedProvider> {
        let span = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            self.mistake(span, "a provider is a table: write [[providers]] and its entries below");
            return None;
        };
        let provider = TypedProvider {
            place: self.place(&span),
            name: self.take(&mut table, "name"),
            kind: self.take(&mut table, "kind"),
            base_url: self.take(&mut table, "base_url"),
            key_env: self.take(&mut table, "key_env"),
            key_file: self.take(&mut table, "key_file"),
            region: self.take(&mut table, "region"),
            concurrency_max: self.take(&mut table, "concurrency_max"),
            images_per_minute: self.take(&mut table, "images_per_minute"),
        };
        if let Some(key) = table.remove("key").or_else(|| table.remove("api_key")) {
            let advice = "name the variable that holds it in key_env, or a file in key_file";
            self.mistake(key.span(), format!("a key does not belong into this file: {advice}"));
        }
        self.refuse_rest(
            table,
            "name, kind, base_url, key_env, key_file, region, concurrency_max, images_per_minute",
        );
        Some(provider)
    }

    fn feeds(&mut self, table: &mut DeTable<'_>) -> Vec<TypedFeed> {
        let Some(value) = table.remove("feeds") else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            self.mistake(span, "feeds is a list: write [[feeds]]");
            return Vec::new();
        };
        entries.into_iter().filter_map(|entry| self.feed(entry)).collect()
    }

    fn feed(&mut self, entry: Spanned<DeValue<'_>>) -> Option<TypedFeed> {
        let span = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            self.mistake(span, "a feed is a table: write [[feeds]] and its entries below");
            return None;
        };
        let feed = TypedFeed {
            place: self.place(&span),
            kind: self.take(&mut table, "kind"),
            url: self.take(&mut table, "url"),
            name: self.take(&mut table, "name"),
            every_minutes: self.take(&mut table, "every_minutes"),
            every_seconds: self.take(&mut table, "every_seconds"),
            timeout_seconds: self.take(&mut table, "timeout_seconds"),
            stale_minutes: self.take(&mut table, "stale_minutes"),
            key_env: self.take(&mut table, "key_env"),
            jump_factor: self.take(&mut table, "jump_factor"),
            agreeing_polls: self.take(&mut table, "agreeing_polls"),
            offers: self.take(&mut table, "offers"),
            prices: self.take(&mut table, "prices"),
        };
        self.refuse_rest(
            table,
            "kind, name, url, every_minutes, every_seconds, timeout_seconds, stale_minutes, key_env, \
             jump_factor, agreeing_polls, offers, prices",
        );
        Some(feed)
    }

    fn routes(&mut self, table: &mut DeTable<'_>) -> Vec<TypedRoute> {
        let entries = self.named_tables(table, "routes", "write [routes.NAME] and its entries below");
        entries.into_iter().filter_map(|(name, entry)| self.route(name, entry)).collect()
    }

    fn route(&mut self, name: Written<String>, entry: Spanned<DeValue<'_>>) -> Option<TypedRoute> {
        let span = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            self.mistake(span, "a route is a table: write [routes.NAME] and its entries below");
            return None;
        };
        let route = TypedRoute {
            place: name.place,
            name: name.value,
            models: self.take(&mut table, "models"),
            providers: self.take(&mut table, "providers"),
            objective: self.take(&mut table, "objective"),
            class: self.take(&mut table, "class"),
            max_cost_usd: self.take(&mut table, "max_cost_usd"),
            tier: self.take(&mut table, "tier"),
            check: self.take(&mut table, "check"),
            moderation_failover: self.take(&mut table, "moderation_failover"),
            baseline: self.take(&mut table, "baseline"),
        };
        self.refuse_rest(
            table,
            "models, providers, objective, class, max_cost_usd, tier, check, moderation_failover, baseline",
        );
        Some(route)
    }

    fn migrations(&mut self, table: &mut DeTable<'_>) -> Vec<(String, Written<String>)> {
        let advice = "write [migrations] and \"old-name\" = \"new-name\" below";
        let mut migrations = Vec::new();
        for (name, entry) in self.named_tables(table, "migrations", advice) {
            let span = entry.span();
            match entry.into_inner() {
                DeValue::String(to) => {
                    let to = Written { value: to.into_owned(), place: self.place(&span) };
                    migrations.push((name.value, to));
                }
                _ => self
                    .mistake(span, format!("migrations: the new name of {:?} is text in quotes", name.value)),
            }
        }
        migrations
    }

    /// The entries of a table whose names are free, in the order of the file.
    fn named_tables<'t>(
        &mut self,
        table: &mut DeTable<'t>,
        field: &str,
        advice: &str,
    ) -> Vec<(Written<String>, Spanned<DeValue<'t>>)> {
        let Some(value) = table.remove(field) else { return Vec::new() };
        let span = value.span();
        let DeValue::Table(entries) = value.into_inner() else {
            self.mistake(span, format!("{field} is a table: {advice}"));
            return Vec::new();
        };
        let mut named: Vec<_> = entries.into_iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        let written = |name: Spanned<std::borrow::Cow<'_, str>>, reader: &Self| {
            let place = reader.place(&name.span());
            Written { value: name.into_inner().into_owned(), place }
        };
        named.into_iter().map(|(name, entry)| (written(name, self), entry)).collect()
    }

    fn refuse_rest(&mut self, table: DeTable<'_>, known: &str) {
        for (name, _) in table {
            let names = known.split(", ").map(|known| known.trim().to_owned());
            let meant = slip_of(name.get_ref(), names);
            let meant = meant.map_or_else(String::new, |meant| format!(": is {meant:?} meant?"));
            self.mistake(
                name.span(),
                format!("unknown entry {:?}{meant}; known are {known}", name.get_ref()),
            );
        }
    }
}

/// A message of the deserialiser without the names of the language's types.
fn plainly(message: &str) -> String {
    let words = [("a string", "text in quotes"), ("u64", "a whole number"), ("u32", "a whole number")];
    words.iter().fold(message.replace("a boolean", "true or false"), |message, (from, to)| {
        message.replace(&format!("expected {from}"), &format!("expected {to}"))
    })
}
