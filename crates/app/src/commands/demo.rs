//! `gallerist demo`: the whole product on one machine, without keys and without a network.
//!
//! Six stand-ins with bills of their own (`stand_ins.rs`), the gateway in front of them, and some pictures
//! through the public API (`picture.rs`): the cheapest, one under a limit, one with the cheapest provider
//! down. What is told about them is in `telling.rs`. At the end the charges must equal the bills.

mod picture;
mod stand_ins;
mod telling;

use crate::client::Client;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::gateway::{self, Gateway, SaidBy};
use crate::{first_keys, output, progress, signals};
use clap::Args;
use gallerist_domain::{Depth, OfferId, ProjectId, Scopes, Ticks};
use gallerist_engine::Limits;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::FeedBook;
use gallerist_routing::NameBook;
use gallerist_server::new_key;
use gallerist_store::{Store, StoreOptions};
use jiff::Timestamp;
use picture::{Picture, Question};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use stand_ins::StandIns;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "Examples:
  gallerist demo
  gallerist demo --once --out pictures
  gallerist demo --json --no-images --port 0     a gateway before stand-ins, for scripts";

/// The offer that savings are measured against.
pub const BASELINE: &str = "openai/gpt-image-2";

/// Share of the providers' usual latency that the stand-ins take while somebody watches.
const LATENCY_PERCENT: u32 = 20;

/// Until the last settlement is in the books.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// Names of the keys that a demo makes.
const KEY_NAMES: [&str; 2] = ["demo", "demo admin"];

/// See it work: stand-ins of six providers, the gateway before them, pictures, and what they cost
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoCommand {
    /// Exit after the pictures instead of staying up
    #[arg(long)]
    once: bool,
    /// Where the gateway listens on loopback; 0 means any free port [default: 8080, or any free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Folder of the books [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder of the pictures
    #[arg(long, value_name = "DIR", default_value = "gallerist-demo")]
    out: PathBuf,
    /// Only bring everything up
    #[arg(long)]
    no_images: bool,
    /// Print the same prompts at every offer as a table in Markdown, as in the README, and exit
    #[arg(long, conflicts_with = "no_images")]
    markdown: bool,
}

/// Everything that is up.
struct Demo {
    gateway: Gateway,
    stand_ins: StandIns,
    started: Timestamp,
    api_key: SecretString,
    admin_key: SecretString,
    client: Client,
    admin: Client,
}

pub async fn run(command: DemoCommand, json: bool) -> Result<()> {
    if command.markdown && json {
        return Err(
            Failure::usage("--markdown and --json are two forms of one output").advise("leave one out")
        );
    }
    let ended = signals::Ended::listen()?;
    let begun = Instant::now();
    let demo = Demo::start(&command).await?;
    if json {
        output::json(&demo.ready());
    }
    go_on(demo, &command, json, (begun, ended)).await
}

/// Shows what there is to show and waits for the end, as long as the books can be written.
async fn go_on(
    mut demo: Demo,
    command: &DemoCommand,
    json: bool,
    (begun, mut ended): (Instant, signals::Ended),
) -> Result<()> {
    let store = demo.gateway.engine.store().clone();
    let done = tokio::select! {
        biased;
        // First, because what is asked then fails for that reason alone.
        () = broken(store) => return Err(demo.break_off().await),
        done = demo.show(command, json, begun) => done,
        () = ended.first() => return demo.end().await,
    };
    if command.once && command.no_images && !json {
        telling::came_up(&demo.gateway.origin());
    }
    if done.is_ok() && !command.once && !command.markdown {
        if !json {
            telling::stay(&demo);
        }
        tokio::select! {
            () = ended.first() => {}
            () = demo.gateway.broken() => return Err(demo.break_off().await),
        }
    }
    demo.end().await?;
    done
}

impl Demo {
    async fn start(command: &DemoCommand) -> Result<Demo> {
        let quick = command.no_images || command.markdown;
        let stand_ins = StandIns::start(if quick { 0 } else { LATENCY_PERCENT }).await?;
        let listener = match command.port {
            Some(port) => gateway::bind(&format!("127.0.0.1:{port}"), SaidBy::Port).await?,
            None => match gateway::bind(crate::config::LISTEN_DEFAULT, SaidBy::Port).await {
                Ok(listener) => listener,
                Err(_) => gateway::bind("127.0.0.1:0", SaidBy::Port).await?,
            },
        };
        let started = Timestamp::now();
        let store = match &command.data_dir {
            Some(dir) => gateway::open_store(StoreOptions::new(dir, started))?,
            None => Store::open_temporary(started)?,
        };
        refuse_others(&store).await?;
        let api_key = key(&store, KEY_NAMES[0], Scopes::USUAL, started).await?;
        let admin_key = key(&store, KEY_NAMES[1], Scopes::ADMIN, started).await?;
        // Commands beside the demo find it, and may read its books.
        let keys = [(first_keys::API_KEY, api_key.clone()), (first_keys::ADMIN_KEY, admin_key.clone())];
        first_keys::write(store.data_dir(), &keys)?;
        let config = config(&store, &stand_ins);
        let gateway = Gateway::start(&config, store, listener).await?;
        let address = gateway::address_file(&config.data_dir);
        if let Err(error) = std::fs::write(&address, format!("{}\n", gateway.origin())) {
            tracing::warn!(%error, "other commands will not find this gateway");
        }
        let client = Client::new(&gateway.origin(), api_key.clone());
        let admin = Client::new(&gateway.origin(), admin_key.clone());
        Ok(Demo { gateway, stand_ins, started, api_key, admin_key, client, admin })
    }

    /// The first line of `--json`.
    fn ready(&self) -> Value {
        json!({
            "event": "ready",
            "base_url": format!("{}/v1", self.gateway.origin()),
            "api_key": self.api_key.expose_secret(),
            "admin_key": self.admin_key.expose_secret(),
            "fakes": self.stand_ins.origins(),
            "fake_keys": self.stand_ins.keys(),
        })
    }

    async fn show(&mut self, command: &DemoCommand, json: bool, begun: Instant) -> Result<()> {
        if command.no_images {
            return Ok(());
        }
        std::fs::create_dir_all(&command.out)
            .map_err(|error| Failure::because(format!("{} cannot be made", command.out.display()), &error))?;
        let quiet = json || command.markdown;
        if !quiet {
            telling::begin(&self.gateway.origin());
        }
        let mut pictures = Vec::new();
        for question in telling::same_prompts() {
            pictures.push(self.make(command, question, json, pictures.len() + 1).await?);
        }
        if command.markdown {
            output::line(telling::table(&pictures, true).markdown());
            let doubts = telling::doubts(&pictures, true);
            if let Some((legend, doubts)) = doubts.split_first() {
                let listed: Vec<String> = doubts.iter().map(|doubt| format!("- {doubt}")).collect();
                output::line(format!("\n{legend}\n\n{}", listed.join("\n")));
            }
            return Ok(());
        }
        if !quiet {
            telling::cheapest(&pictures);
        }
        let capped = self.make(command, telling::capped(), json, pictures.len() + 1).await?;
        if !quiet {
            telling::under_a_limit(&capped);
        }
        pictures.push(capped);
        let down = pictures[0].provider.clone();
        self.stand_ins.stop(&down).await;
        let rescued = self.make(command, telling::failover(), json, pictures.len() + 1).await;
        self.stand_ins.restart(&down).await?;
        let rescued = rescued?;
        if !quiet {
            telling::failed_over(&rescued, &down);
        }
        pictures.push(rescued);
        self.sum_up(&pictures, json, begun).await
    }

    /// Asks, and tells it with `--json`.
    async fn make(
        &self,
        command: &DemoCommand,
        question: Question,
        json: bool,
        number: usize,
    ) -> Result<Picture> {
        let spinner = progress::spinner(&format!("making {:?}", question.prompt));
        let (client, admin, out) = (self.client.clone(), self.admin.clone(), command.out.clone());
        let work = move || picture::make(&client, &admin, &question, &out, number);
        let made = tokio::task::spawn_blocking(work).await;
        spinner.finish_and_clear();
        let made = made.map_err(|error| Failure::because("the picture", &error))??;
        if json {
            output::json(&made.event());
        }
        Ok(made)
    }

    async fn sum_up(&self, pictures: &[Picture], json: bool, begun: Instant) -> Result<()> {
        let billed = self.stand_ins.billed();
        let (charged, doubtful) = self.charged(billed).await?;
        let saved: Ticks = pictures.iter().filter_map(|picture| picture.saved).sum();
        let seconds = format!("{}.{:03}", begun.elapsed().as_secs(), begun.elapsed().subsec_millis());
        if json {
            output::json(&json!({
                "event": "summary",
                "images": pictures.len(),
                "charged_usd": charged,
                "doubtful_usd": doubtful,
                "billed_usd": billed,
                "saved_usd": saved,
                "seconds": serde_json::from_str::<Value>(&seconds).expect("these are digits"),
            }));
        } else {
            telling::summary(pictures, (charged, doubtful), billed, saved);
        }
        if charged == billed {
            return Ok(());
        }
        let (charged, billed) = (output::dollars(charged), output::dollars(billed));
        Err(Failure::failed(format!(
            "the books say {charged}, the stand-ins billed {billed}: please report this"
        )))
    }

    /// What the books say about this run, and what of it rests on doubtful prices. A settlement follows its answer
    /// within milliseconds.
    async fn charged(&self, billed: Ticks) -> Result<(Ticks, Ticks)> {
        let path = format!("/v1/usage?from={}", crate::client::escaped(&self.started.to_string()));
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let (admin, path) = (self.admin.clone(), path.clone());
            let asked = tokio::task::spawn_blocking(move || admin.ask("GET", &path, None)).await;
            let report = asked.map_err(|error| Failure::because("the usage", &error))??;
            let total = |name: &str| {
                let amount = report["totals"][name].as_str().and_then(|text| text.parse::<Ticks>().ok());
                amount.ok_or_else(|| Failure::failed(format!("the usage names no {name}")))
            };
            let (charged, doubtful) = (total("charged_usd")?, total("doubtful_usd")?);
            if charged == billed || Instant::now() > deadline {
                return Ok((charged, doubtful));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) -> Result<()> {
        let files = self.files();
        let ended = self.gateway.end(gateway::GRACE_MS).await;
        remove(files);
        self.stand_ins.end().await;
        ended
    }

    /// Ends what cannot write its books any more.
    async fn break_off(self) -> Failure {
        let files = self.files();
        let failure = self.gateway.break_off(gateway::BROKEN_GRACE_MS).await;
        remove(files);
        self.stand_ins.end().await;
        failure.advise("start the demo again; and report the panic that stands above")
    }

    /// What tells other commands of it.
    fn files(&self) -> [PathBuf; 2] {
        let data_dir = self.gateway.engine.store().data_dir();
        [gateway::address_file(data_dir), first_keys::file(data_dir)]
    }
}

fn remove(files: [PathBuf; 2]) {
    for file in files {
        let _ = std::fs::remove_file(file);
    }
}

/// Until the books can be written no more.
async fn broken(store: Store) {
    store.broken().await;
}

/// A folder of a gateway keeps its books and the file with its keys for itself.
async fn refuse_others(store: &Store) -> Result<()> {
    let keys = store.list_keys().await?;
    if keys.iter().all(|key| KEY_NAMES.contains(&key.name.as_str())) {
        return Ok(());
    }
    let message = format!("{} holds the books of a gateway", store.data_dir().display());
    Err(Failure::usage(message).advise("name another folder with --data-dir, or leave it out"))
}

async fn key(store: &Store, name: &str, scopes: Scopes, now: Timestamp) -> Result<SecretString> {
    let fresh = new_key();
    store.create_key(fresh.record(ProjectId::default_project(), name, scopes, None), now).await?;
    Ok(fresh.secret)
}

/// Settings that depend on nothing but the stand-ins: a developer's own keys stay out of it.
fn config(store: &Store, stand_ins: &StandIns) -> Config {
    let catalogue = Arc::new(Origin::default().served().expect("the embedded catalogue passes its own test"));
    Config {
        store_url: None,
        redis_url: None,
        public_url: None,
        listen: String::new(),
        data_dir: store.data_dir().to_owned(),
        base: Arc::clone(&catalogue),
        catalogue,
        origin: Origin::default(),
        providers: stand_ins.providers(),
        names: NameBook::default(),
        baseline: BASELINE.parse::<OfferId>().ok(),
        limits: Limits::default(),
        check_depth: Depth::Header,
        moderation_failover: false,
        store_prompts: false,
        cap: None,
        feeds: Vec::new(),
        feed_book: FeedBook::default(),
        remarks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::tests::break_books;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        demo: DemoCommand,
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_demo_whose_books_break_ends_with_a_failure_that_says_so() {
        let line = ["demo", "--no-images", "--port", "0"];
        let command = Line::parse_from(line).demo;
        let demo = Demo::start(&command).await.unwrap();
        let files = demo.files();
        assert!(files.iter().all(|file| file.exists()));
        break_books(&demo.gateway).await;
        let ended = signals::Ended::listen().unwrap();
        let failure = go_on(demo, &command, false, (Instant::now(), ended)).await.unwrap_err();
        assert_eq!(failure.exit, 1);
        assert!(failure.message.contains("the books can be written no more"), "{failure}");
        assert!(failure.advice.contains("start the demo again"), "{failure}");
        assert!(files.iter().all(|file| !file.exists()), "no command looks for it any more");
    }
}
