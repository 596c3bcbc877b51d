//! `gallerist generate`: pictures to files, with a progress display and the cost at the end.
//!
//! A gateway that runs is asked through its API (the one that `--server` names, else that of the data
//! directory); without one an engine in this process does the same work on the same books.

mod waiting;

use crate::ask::{self, Ask};
use crate::client::Client;
use crate::config::{Config, Environment, Place};
use crate::failure::{ASK_FOR_REASONS, Failure, RAISE_CAP, Result};
use crate::first_keys::{self, API_KEY};
use crate::{doubt, gateway, output, pictures, progress, signals, words};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use gallerist_domain::{Chunks, ImageData, Payer, ProjectId, Ticks};
use gallerist_engine::{Answer, Engine, Incoming, Refusal, RefusalKind};
use gallerist_server::Details;
use gallerist_store::{Store, StoreError};
use indicatif::ProgressBar;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Number, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "Examples:
  gallerist generate \"a red kite over a hill\"
  gallerist generate \"a tin robot watering ferns\" --class high --max-cost-usd 0.05 -o robot.png
  gallerist generate \"four kites\" -n 4 --server https://images.example    with GALLERIST_API_KEY set";

/// Make a picture and save it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateCommand {
    /// What the picture shows
    prompt: String,
    #[command(flatten)]
    ask: Ask,
    /// Where to save it; its ending chooses the format [default: named after the prompt]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The gateway to ask; else the one of the data directory, else none
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A key of that gateway; else GALLERIST_API_KEY, which other users' `ps` does not show
    #[arg(long, value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// What came of it, whichever way it was made.
struct Made {
    files: Vec<Vec<u8>>,
    /// The `gallerist` object of the API's answer.
    told: Value,
}

pub fn run(command: &GenerateCommand, json: bool) -> Result<()> {
    let environment = Environment::of_process();
    let body = body(command)?;
    ask::parse_flags(&body)?;
    check_folder(command.output.as_deref(), command.ask.n.as_ref().and_then(Number::as_u64))?;
    let way = way(command, &environment)?;
    let model = body["model"].as_str().unwrap_or("auto");
    let spinner = progress::spinner(&format!("{model}: {}", command.prompt));
    let made = crate::commands::block_on(async {
        match way {
            Way::Gateway(client) => through(client, &body, command.server.as_deref(), &spinner).await,
            Way::Here(config, store) => here(&config, store, &body, &spinner).await,
        }
    });
    spinner.finish_and_clear();
    let made = made.map_err(in_flags)?;
    let paths = save(command, &made.files)?;
    if json {
        output::json(&json!({"paths": paths, "gallerist": made.told}));
    } else {
        tell(&made, &paths);
    }
    Ok(())
}

/// The gateway speaks of parameters; here they were flags.
fn in_flags(failure: Failure) -> Failure {
    Failure { message: words::in_flags(&failure.message), ..failure }
}

fn body(command: &GenerateCommand) -> Result<Value> {
    let mut body = command.ask.body(&command.prompt);
    let ending =
        command.output.as_deref().and_then(Path::extension).map(|ending| ending.to_ascii_lowercase());
    if let Some(ending) = ending {
        let format = match ending.to_str() {
            Some("png") => "png",
            Some("jpg" | "jpeg") => "jpeg",
            Some("webp") => "webp",
            _ => {
                let message = format!("no picture format ends in .{}", ending.to_string_lossy());
                return Err(Failure::usage(message).advise("end the file in .png, .jpg or .webp"));
            }
        };
        if body["output_format"].as_str().is_some_and(|asked| asked != format) {
            let message =
                format!("the file ends in .{}, but --format says otherwise", ending.to_string_lossy());
            return Err(Failure::usage(message).advise("let one of them decide"));
        }
        body["output_format"] = format.into();
    }
    Ok(body)
}

/// Names that are looked up before several pictures are asked for: more than one request may make.
const NAMES_CHECKED_MAX: u64 = 16;

/// The pictures must have a place before they are paid for.
fn check_folder(output: Option<&Path>, count: Option<u64>) -> Result<()> {
    if let Some(path) = output.filter(|path| path.is_dir()) {
        let advice = "name the file in it too, such as kite.png";
        return Err(Failure::usage(format!("{} is a folder", path.display())).advise(advice));
    }
    let several = count.is_some_and(|count| count > 1);
    let names = output.map(|path| match several {
        true => (1..=count.unwrap_or(1).min(NAMES_CHECKED_MAX)).map(|number| place(path, number)).collect(),
        false => vec![path.to_owned()],
    });
    if let Some(path) = names.iter().flatten().find(|path| path.exists()) {
        let advice = "name another file, or move that one away; nothing was asked for yet";
        return Err(Failure::usage(format!("{} is there already", path.display())).advise(advice));
    }
    let folder = output.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let trial = folder.join(format!(".gallerist-{}", std::process::id()));
    std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial)).map_err(|error| {
        Failure::because(format!("no picture can be saved in {}", folder.display()), &error)
            .advise("name a file in a folder that exists with --output; nothing was asked for yet")
    })
}

fn nobody() -> Failure {
    Failure::usage("no provider is on, and no gateway runs here")
        .advise("set a provider's key such as OPENAI_API_KEY, or name a gateway with --server")
}

/// Who makes it.
enum Way {
    Gateway(Client),
    Here(Box<Config>, Store),
}

/// The lock on the books decides: whoever holds them is asked.
fn way(command: &GenerateCommand, environment: &Environment) -> Result<Way> {
    let key = command.key.clone().or_else(|| environment.get(API_KEY)).map(SecretString::from);
    if let Some(address) = &command.server {
        let advice = format!("--key, or {API_KEY}");
        let key = key.ok_or_else(|| Failure::usage("the gateway wants a key").advise(advice))?;
        return Ok(Way::Gateway(Client::new(address, key)));
    }
    let config = Config::load(&command.place, environment)?;
    let data_dir = &config.data_dir;
    let address = std::fs::read_to_string(gateway::address_file(data_dir)).ok();
    output::notes(&config.remarks);
    if config.providers.is_empty() && address.is_none() {
        return Err(nobody());
    }
    let through = |address: &str| {
        let key = key.clone().or_else(|| first_keys::from_file(data_dir, API_KEY)).ok_or_else(|| {
            Failure::usage(format!("the gateway at {address} wants a key"))
                .advise(format!("--key, or {API_KEY}; `gallerist keys create` makes one"))
        })?;
        Ok(Way::Gateway(Client::new(address, key)))
    };
    // Its queues, limits and health are those of the whole directory.
    if let Some(address) = gateway::answering(data_dir).filter(|_| config.store_url.is_some()) {
        return through(&address);
    }
    match (Store::open(config.store_options(Timestamp::now())), address) {
        (Ok(store), _) => Ok(Way::Here(Box::new(config), store)),
        (Err(StoreError::Locked(_)), Some(address)) => through(address.trim()),
        (Err(StoreError::Locked(_)), None) => {
            let message = format!("the books in {} are open elsewhere", data_dir.display());
            Err(Failure::failed(message).advise("name the gateway that has them open with --server"))
        }
        (Err(error), _) => Err(error.into()),
    }
}

async fn through(client: Client, body: &Value, remote: Option<&str>, progress: &ProgressBar) -> Result<Made> {
    let mut ended = signals::Ended::listen()?;
    let begun = Timestamp::now();
    let asking = tokio::task::spawn_blocking({
        let (client, body) = (client.clone(), body.clone());
        move || client.ask("POST", "/v1/images/generations", Some(&body))
    });
    let Some(answer) = waiting::wait(asking, &mut ended, progress).await else {
        return Err(waiting::left_with_gateway(&client, begun, remote));
    };
    let answer = answer.map_err(|error| Failure::because("the request broke off", &error))??;
    let images = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let files =
        images.iter().map(|image| pictures::from_base64(image["b64_json"].as_str().unwrap_or_default()));
    Ok(Made { files: files.collect::<Result<_>>()?, told: answer["gallerist"].clone() })
}

async fn here(config: &Config, store: Store, body: &Value, progress: &ProgressBar) -> Result<Made> {
    if config.providers.is_empty() {
        return Err(nobody());
    }
    let engine = Engine::start(gateway::engine_settings(config, store))
        .await
        .map_err(|error| Failure::because("the engine cannot start", &error))?;
    let text = body.to_string();
    let begun = Timestamp::now();
    let incoming = Incoming {
        payer: Arc::new(Payer::of(ProjectId::default_project())),
        allowance: Arc::default(),
        request: ask::parse(text.as_bytes())?,
        fingerprint: gallerist_server::key_digest(&text),
        idempotency_key: None,
        retry_count: 0,
        accepted_at: begun,
    };
    let mut ended = signals::Ended::listen()?;
    let made = match waiting::wait(engine.generate(incoming), &mut ended, progress).await {
        Some(made) => made.map_err(|refusal| refused(&refusal)),
        None => Err(waiting::left_here(&engine, begun).await),
    };
    // Whoever left has waited already; else only the settlement is to be written.
    let left = made.as_ref().is_err_and(|failure| failure.exit == waiting::INTERRUPTED);
    let grace_ms = if left { 0 } else { gateway::GRACE_MS };
    tokio::select! {
        () = engine.shut_down(grace_ms) => engine.store().close().await?,
        () = ended.first() => output::remark("Ended at once; what was under way is settled at the next start."),
    }
    let answer = made?;
    let told = serde_json::to_value(Details::from(&*answer.meta)).expect("an answer has text keys");
    Ok(Made { files: files(&answer)?, told })
}

fn files(answer: &Answer) -> Result<Vec<Vec<u8>>> {
    let file = |data: &ImageData| match data {
        ImageData::Bytes(bytes) => Ok(bytes.to_vec()),
        ImageData::Base64(text) => decoded(text),
        ImageData::Url(_) => Err(Failure::failed("the answer holds an address instead of a picture")),
    };
    answer.images.iter().map(|image| file(&image.data)).collect()
}

fn decoded(text: &Chunks) -> Result<Vec<u8>> {
    STANDARD.decode(text.to_vec()).map_err(|_| Failure::failed("the answer holds no picture"))
}

fn refused(refusal: &Refusal) -> Failure {
    let mut message = refusal.message.clone();
    for attempt in &refusal.attempts {
        message.push_str(&format!("\n  {}: {}", attempt.offer, attempt.fault.detail));
    }
    if refusal.may_have_charged() {
        let (charged, disputed) = (output::dollars(refusal.charged), output::dollars(refusal.disputed));
        message.push_str(&format!("\n  charged {charged}, unknown {disputed}"));
    }
    let failure = match refusal.kind {
        RefusalKind::InvalidRequest | RefusalKind::ModelNotFound => Failure::usage(message),
        _ => Failure::failed(message),
    };
    match refusal.kind {
        RefusalKind::BudgetExceeded => failure.advise(RAISE_CAP),
        RefusalKind::NoOffer | RefusalKind::CostLimitExceeded => failure.advise(ASK_FOR_REASONS),
        _ => failure,
    }
}

fn save(command: &GenerateCommand, files: &[Vec<u8>]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let path = match &command.output {
            Some(path) if files.len() == 1 => path.clone(),
            Some(path) => place(path, at as u64 + 1),
            None => unused(&pictures::slug(&command.prompt), pictures::extension(file)),
        };
        paths.push(write_new(path, file)?);
    }
    Ok(paths)
}

/// Writes a picture that is paid for: under another name where a file of this one has appeared since.
fn write_new(path: PathBuf, bytes: &[u8]) -> Result<PathBuf> {
    let others = (2..).map(|number| place(&path, number));
    for free in std::iter::once(path.clone()).chain(others) {
        let written = std::fs::File::create_new(&free).and_then(|mut file| file.write_all(bytes));
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            written => {
                let failed =
                    |error| Failure::because(format!("{} cannot be written", free.display()), &error);
                return written.map(|()| free.clone()).map_err(failed);
            }
        }
    }
    unreachable!("there are enough numbers")
}

/// Where the picture of this number goes, of several in one request.
fn place(path: &Path, number: u64) -> PathBuf {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    numbered(&path.with_extension(""), number, &ending)
}

fn numbered(stem: &Path, number: u64, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}-{number}.{ending}", stem.display()))
}

/// A name that no file has yet.
fn unused(slug: &str, ending: &str) -> PathBuf {
    let plain = PathBuf::from(format!("{slug}.{ending}"));
    let others = (2..).map(|number| numbered(Path::new(slug), number, ending));
    std::iter::once(plain).chain(others).find(|path| !path.exists()).expect("there are enough numbers")
}

fn tell(made: &Made, paths: &[PathBuf]) {
    for path in paths {
        output::line(format!("{}", path.display()));
    }
    let told = &made.told;
    let cost = &told["cost"];
    let saved: Option<Ticks> = told["saved_usd"].as_str().and_then(|text| text.parse().ok());
    let mut line = format!(
        "{} at {} ({})",
        output::dollars_of(&cost["charged_usd"]),
        told["offer"].as_str().unwrap_or_default(),
        cost["basis"].as_str().unwrap_or_default().replace('_', " "),
    );
    if let Some(saved) = saved {
        let against = doubt::of_list(told, Timestamp::now()).map(|doubt| format!("against a {doubt}"));
        line.push_str(&format!(", saved {}", doubt::with(output::dollars(saved), against.as_ref())));
    }
    if let Some(attempts) = told["attempts"].as_u64().filter(|attempts| *attempts > 1) {
        line.push_str(&format!(", {attempts} attempts"));
    }
    if let Some(doubt) = doubt::of_lines(&cost["lines"], Timestamp::now()) {
        line.push_str(&format!("; {doubt}"));
    }
    output::remark(line);
    for warning in told["warnings"].as_array().into_iter().flatten() {
        output::remark(format!("To know: {}", warning.as_str().unwrap_or_default()));
    }
    if let Some(count) = told["missing"]["count"].as_u64() {
        output::remark(format!(
            "{count} missing: {}",
            told["missing"]["reason"].as_str().unwrap_or_default()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_are_numbered() {
        assert_eq!(numbered(Path::new("out/kite"), 2, "png"), Path::new("out/kite-2.png"));
    }
}
