//! `gallerist serve`: the gateway, from its start to its orderly end.
//!
//! Nothing that takes time stands before listening: the first keys are shown and the cheapest picture is
//! quoted afterwards. The data directory says where the gateway listens, so that other commands find it.

use crate::config::{Config, Environment, Place};
use crate::failure::{Failure, Result};
use crate::first_keys::{self, FirstKeys};
use crate::gateway::{self, BROKEN_GRACE_MS, GRACE_MS, Gateway, SaidBy};
use crate::{doubt, output, signals};
use clap::Args;
use gallerist_domain::{Grants, ImageRequest, ProjectId, QualityClass, Ticks};
use gallerist_routing::report::OfferQuote;
use gallerist_store::Store;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use std::io::IsTerminal;

pub(crate) const EXAMPLES: &str = "Examples:
  OPENAI_API_KEY=… gallerist serve
  BFL_API_KEY=… FAL_KEY=… gallerist serve --listen 0.0.0.0:8080
  gallerist serve --config gallerist.toml

A provider is on when its customary key variable is set (OPENAI_API_KEY, …), an engine of your own when
GALLERIST_<KIND>_BASE_URL is. GALLERIST_<KIND>_BASE_URL moves any provider. GALLERIST_LISTEN, GALLERIST_DATA_DIR,
GALLERIST_PUBLIC_URL, GALLERIST_STORE_URL, GALLERIST_REDIS_URL and GALLERIST_LOG (warn) are read too; on an
empty store GALLERIST_ADMIN_KEY and GALLERIST_API_KEY become the first keys.

The settings file, with every entry that there is; each is optional:
  listen = \"127.0.0.1:8080\"
  public_url = \"https://img.example\"  # where clients reach it: addresses of pictures begin so
  data_dir = \"/var/lib/gallerist\"
  catalogue_dir = \"my-catalogue\"       # KIND.toml files that replace or join the built-in ones
  catalogue_described = false          # models that articles describe and no price sheet confirms
  baseline = \"openai/gpt-image-2\"      # savings are measured against it
  deadline_ms = 300000                 # from acceptance to answer
  check = \"header\"                     # or \"pixels\": decode every picture
  cap_usd = \"20\"                       # of the project default, set at each start
  moderation_failover = false          # try elsewhere what one provider refused
  webhooks.allow_private = false       # alerts may go to private addresses, and without TLS
  store_prompts = false                # keep each prompt with its request, to be read in its record
  retention_days = 400                 # delete older requests; usage and balances keep their sums
  [store]
  url = \"postgres://me@db/gallerist\"  # for several gateways; else SQLite in data_dir
  [redis]
  url = \"redis://cache\"              # for them to count rates together and tell which offers rest
  [credits]
  balance_minutes = 60                 # how often providers are asked what is left; 0: never
  drift_usd = \"1\"                    # a difference from the books up to this is no news
  [routes.thumbnails]                  # a policy of one's own: requests call it as their model
  models = { only = [\"flux-schnell\", \"openai/gpt-image-1-mini\"], exclude = [] }
  providers = { only = [], exclude = [\"stability\"] }
  objective = \"latency\"              # cost, latency or quality
  class = \"draft\"                    # the least: draft, standard or high; a request can only raise it
  max_cost_usd = \"0.02\"              # of each request, which can only lower it
  tier = \"auto\"                      # auto, batch, standard or priority
  check = \"pixels\"                   # this and the two below: else as above
  moderation_failover = true
  baseline = \"openai/gpt-image-2\"
  [routes.auto]                        # adjusts the route that always exists
  providers = { exclude = [\"fal\"] }
  [migrations]                         # followed once the old name is gone
  \"dall-e-3\" = \"gpt-image-2\"
  [[providers]]                        # one more account, or one elsewhere
  name = \"openai-eu\"
  kind = \"openai\"
  base_url = \"https://eu.example/v1\"
  key_env = \"OPENAI_EU_KEY\"            # or key_file = \"/run/secrets/openai\"
  region = \"eu\"                      # of the account, where prices depend on it
  concurrency_max = 8                  # calls at once
  images_per_minute = 120              # beyond it calls wait, projects in turn
  [[feeds]]                            # prices that are polled; docs/pricing.md has every entry
  kind = \"fal\"
  key_env = \"FAL_KEY\"";

/// Run the gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeCommand {
    /// Where to listen; else GALLERIST_LISTEN, else 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub async fn run(command: ServeCommand, json: bool) -> Result<()> {
    let environment = Environment::of_process();
    let mut config = Config::load(&command.place, &environment)?;
    if let Some(listen) = command.listen {
        if !crate::config::is_address(&listen) {
            let example = crate::config::LISTEN_DEFAULT;
            return Err(Failure::usage(format!("--listen: {listen:?} is no address"))
                .advise(format!("write HOST:PORT, such as {example}")));
        }
        config.listen = listen;
    }
    if config.providers.is_empty() {
        return Err(nothing_on(&config));
    }
    let mut ended = signals::Ended::listen()?;
    let listener = gateway::bind(&config.listen, SaidBy::Listen).await?;
    let now = Timestamp::now();
    let store = gateway::open_store(config.store_options(now))?;
    let on_terminal = std::io::stdout().is_terminal() && !json;
    let keys = first_keys::ensure(&store, &environment, on_terminal, now).await?;
    let cap = cap(&config, &store).await?;
    let gateway = Gateway::start(&config, store, listener).await?;
    let address_file = gateway::address_file(&config.data_dir);
    if let Err(error) = std::fs::write(&address_file, format!("{}\n", gateway.origin())) {
        tracing::warn!(%error, "other commands will not find this gateway");
    }
    announce(&config, &gateway, &keys, cap, json);
    let done = until_the_end(gateway, &mut ended, json).await;
    let _ = std::fs::remove_file(&address_file);
    done
}

/// Runs until a signal asks for the end, or until the books can be written no more.
async fn until_the_end(gateway: Gateway, ended: &mut signals::Ended, json: bool) -> Result<()> {
    let broken = tokio::select! {
        () = ended.first() => false,
        () = gateway.broken() => true,
    };
    let ending = async {
        if broken {
            return Err(gateway.break_off(BROKEN_GRACE_MS).await);
        }
        if !json {
            output::remark("Ending: requests under way have 30 seconds; a second signal ends at once.");
        }
        gateway.end(GRACE_MS).await
    };
    tokio::select! {
        done = ending => done,
        () = ended.first() => Err(Failure::failed("ended at once; what was under way is settled at the next start")),
    }
}

/// Sets the configured cap, and says which cap there is.
async fn cap(config: &Config, store: &Store) -> Result<Option<Ticks>> {
    let project = ProjectId::default_project();
    let current = store.project(project.clone()).await?.and_then(|record| record.cap);
    if config.cap.is_some() && config.cap != current {
        store.set_cap(project, config.cap, Timestamp::now()).await?;
    }
    Ok(config.cap.or(current))
}

fn nothing_on(config: &Config) -> Failure {
    let mut ways: Vec<String> = Vec::new();
    for sheet in &config.catalogue.providers {
        ways.push(match sheet.self_hosted {
            true => format!("GALLERIST_{}_BASE_URL for {}", sheet.kind.to_uppercase(), sheet.title),
            false => format!("{} for {}", sheet.key_variables.join(" or "), sheet.title),
        });
    }
    let remarks: String = config.remarks.iter().map(|remark| format!("\n  {remark}")).collect();
    Failure::usage(format!("no provider is on{remarks}")).advise(format!(
        "set one of these and start again:\n    {}\n  `gallerist demo` shows everything without a key",
        ways.join("\n    ")
    ))
}

fn announce(config: &Config, gateway: &Gateway, keys: &FirstKeys, cap: Option<Ticks>, json: bool) {
    let base_url = format!("{}/v1", gateway.origin());
    let providers: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let cheapest = cheapest(gateway);
    let is_up = || gateway.engine.shared_rates().is_some_and(|state| state.is_up);
    let redis = config.redis_url.as_ref().map(|url| (url, is_up()));
    if json {
        output::json(&json!({
            "event": "ready",
            "base_url": base_url,
            "providers": providers,
            "routes": config.names.routes().iter().map(|route| &route.name).collect::<Vec<_>>(),
            "cheapest": cheapest.as_ref().map(|quote| json!({
                "offer": quote.offer, "size": quote.size, "expected_usd": quote.expected_usd,
            })),
            "cap_usd": cap,
            "baseline": config.baseline.as_ref().map(ToString::to_string),
            "redis": redis.map(|(url, is_up)| json!({"url": url.to_string(), "up": is_up})),
            "keys_file": keys.file,
        }));
    } else {
        output::line(match gateway.listens_everywhere() {
            true => format!("Gallerist listens on {base_url} and every other address of this machine"),
            false => format!("Gallerist listens on {base_url}"),
        });
        output::line(format!("  providers on: {}", providers.join(", ")));
        let routes: Vec<&str> = config.names.routes().iter().map(|route| route.name.as_str()).collect();
        if routes.len() > 1 {
            output::line(format!("  routes: {}", routes.join(", ")));
        }
        if let Some((url, is_up)) = redis {
            output::line(match is_up {
                true => format!("  rates are counted together with other gateways on {url}"),
                false => format!("  {url} does not answer: until it does, rates are counted here alone"),
            });
        }
        output::line(match &cheapest {
            Some(quote) => format!(
                "  the cheapest standard picture costs {} now, at {} ({})",
                doubt::with(output::rounded(quote.expected_usd), doubt_of(quote).as_ref()),
                quote.offer,
                quote.size
            ),
            None => "  no offer makes a standard picture now: `gallerist quote \"…\"` says why".to_owned(),
        });
        output::line(match cap {
            None => "  no cap is set: `gallerist projects cap default 20` stops at 20 dollars,\n  `gallerist budgets create --usd 5 --every day` at 5 a day".to_owned(),
            Some(cap) => format!("  project default may spend {} in all", output::dollars(cap)),
        });
        output::line(match &config.baseline {
            Some(offer) => format!("  savings are measured against {offer}"),
            None => format!(
                "  no baseline is set: a line such as baseline = \"{}\" in the settings file measures savings",
                baseline_example(gateway)
            ),
        });
        for (variable, key) in keys.fresh.iter().filter(|_| keys.file.is_none()) {
            output::line(format!("  {variable}={}   (shown once)", key.expose_secret()));
        }
    }
    if let Some(path) = &keys.file {
        output::remark(format!("New keys are in {}, readable by you alone.", path.display()));
    }
    for remark in config.remarks.iter().chain(&keys.remarks) {
        output::remark(format!("Note: {remark}"));
    }
}

/// An offer for the line that sets a baseline: one that stays and makes standard pictures, or nothing could be compared
/// with it. OpenAI's usual one where it is there, else one whose price is in the middle.
fn baseline_example(gateway: &Gateway) -> String {
    const USUAL: &str = "openai/gpt-image-2";
    let market = gateway.engine.market();
    let now = Timestamp::now();
    let stays = |id: &str| {
        let mut offers = market.offers.iter();
        offers.any(|offer| {
            offer.id.to_string() == id && offer.model.lifecycle.retires_on.is_none() && !offer.is_retired(now)
        })
    };
    let standing: Vec<String> = standard_pictures(gateway)
        .into_iter()
        .map(|quote| quote.offer)
        .filter(|offer| stays(offer))
        .collect();
    let middle = standing.get(standing.len() / 2).map_or(USUAL, String::as_str);
    if standing.iter().any(|offer| offer == USUAL) { USUAL.to_owned() } else { middle.to_owned() }
}

/// What is to be known of the price of an offer.
fn doubt_of(quote: &OfferQuote) -> Option<String> {
    doubt::of_lines(&serde_json::to_value(&quote.lines).expect("plain data"), Timestamp::now())
}

fn cheapest(gateway: &Gateway) -> Option<OfferQuote> {
    standard_pictures(gateway).into_iter().next()
}

/// The offers that make a standard picture, as `auto` would try them.
fn standard_pictures(gateway: &Gateway) -> Vec<OfferQuote> {
    let engine = &gateway.engine;
    let mut request = ImageRequest::new("auto", "a picture of nothing in particular");
    // Whatever the settings make of `auto`.
    request.class = Some(QualityClass::Standard);
    let report = engine.quotes(&request, Grants::ALL, None);
    report.map(|report| report.offers).unwrap_or_default()
}
