//! `serve` and the commands beside it, before stand-ins.

use crate::redis::Server;
use crate::support::{Ran, Running, gallerist, http, run};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

struct World {
    home: tempfile::TempDir,
    fakes: Running,
}

impl World {
    fn start() -> World {
        let home = tempfile::tempdir().unwrap();
        let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
        World { home, fakes }
    }

    /// A command with one provider key in its environment.
    fn gallerist(&self) -> Command {
        let mut command = gallerist(self.home.path());
        let origin = self.fakes.ready["fakes"]["openai"].as_str().unwrap();
        command
            .env("OPENAI_API_KEY", self.fakes.ready["fake_keys"]["openai"].as_str().unwrap())
            .env("GALLERIST_OPENAI_BASE_URL", format!("{origin}/v1"))
            .env("GALLERIST_DATA_DIR", self.books())
            .env("GALLERIST_LISTEN", "127.0.0.1:0");
        command
    }

    fn books(&self) -> std::path::PathBuf {
        self.home.path().join("books")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        run(self.gallerist().args(arguments).arg("--json")).json()
    }
}

/// What first keys the file holds.
fn first_key(books: &Path, variable: &str) -> String {
    let text = std::fs::read_to_string(books.join("gallerist.keys")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{variable}=")));
    line.unwrap().to_owned()
}

#[test]
fn one_provider_key_is_all_that_serve_needs() {
    let world = World::start();
    let serve = Running::start(world.gallerist().env("GALLERIST_LOG", "debug").args(["serve", "--json"]));
    assert_eq!(serve.ready["providers"], json!(["openai"]));
    assert!(serve.ready["cheapest"]["expected_usd"].is_string());
    assert_eq!(serve.ready["cap_usd"], Value::Null);
    let keys = world.books().join("gallerist.keys");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    let key = first_key(&world.books(), "GALLERIST_API_KEY");
    let url = format!("{}/images/generations", serve.text("base_url"));
    let (status, answer) = http("POST", &url, &key, Some(&json!({"prompt": "a kite"})));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(http("POST", &url, "gal-wrong", Some(&json!({"prompt": "a kite"}))).0, 401);
    let admin = first_key(&world.books(), "GALLERIST_ADMIN_KEY");
    let ended = serve.end();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("gallerist.keys"), "it says where the keys are: {}", ended.err);
    for secret in [key.as_str(), admin.as_str(), "fake-openai-key", "gal-wrong"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret} is in {}", ended.err);
    }
    assert!(!world.books().join("gallerist.address").exists());
}

#[test]
fn keys_of_the_environment_become_the_first_keys() {
    let world = World::start();
    let serve = Running::start(
        world
            .gallerist()
            .env("GALLERIST_API_KEY", "sk-bench-client")
            .env("GALLERIST_ADMIN_KEY", "sk-bench-admin")
            .args(["serve", "--json"]),
    );
    let base = serve.text("base_url");
    let (status, _) =
        http("POST", &format!("{base}/quotes"), "sk-bench-client", Some(&json!({"prompt": "x"})));
    assert_eq!(status, 200);
    let listed = http("GET", &format!("{base}/keys"), "sk-bench-admin", None);
    assert_eq!((listed.0, listed.1["data"].as_array().unwrap().len()), (200, 2));
    assert!(!listed.1.to_string().contains("sk-bench-client"));
    assert!(!world.books().join("gallerist.keys").exists());
    let ended = serve.end();
    assert!(!ended.err.contains("sk-bench"), "{}", ended.err);
}

/// Whether the gateway reaches its Redis server, for which a busy machine may need a second try.
fn reaches_redis(serve: &Running) -> bool {
    let origin = serve.text("base_url").trim_end_matches("/v1").to_owned();
    let told =
        || ureq::get(format!("{origin}/metrics")).call().unwrap().into_body().read_to_string().unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed().as_secs() < 5 {
        if told().contains("\ngallerist_redis_up 1\n") {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(told().contains("\ngallerist_redis_up 0\n"));
    false
}

#[test]
fn serve_says_where_rates_are_counted_and_shows_no_password() {
    let Some(server) = Server::start() else { return };
    let world = World::start();
    let serve =
        Running::start(world.gallerist().env("GALLERIST_REDIS_URL", server.url()).args(["serve", "--json"]));
    assert_eq!(serve.ready["redis"]["url"], format!("{}/0", server.url()));
    assert!(reaches_redis(&serve));
    assert_eq!(serve.end().code, 0);
    // A server that does not take the password keeps nobody from starting.
    let locked = server.url().replace("redis://", "redis://me:s3cret@");
    let serve = Running::start(
        world
            .gallerist()
            .env("GALLERIST_REDIS_URL", locked)
            .env("GALLERIST_LOG", "trace")
            .args(["serve", "--json"]),
    );
    assert_eq!(serve.ready["redis"]["up"], json!(false));
    assert!(!reaches_redis(&serve));
    let ended = serve.end();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("Redis does not answer"), "{}", ended.err);
    assert!(!ended.out.contains("s3cret") && !ended.err.contains("s3cret"), "{}", ended.err);
    let wrong = run(world.gallerist().env("GALLERIST_REDIS_URL", "cache:s3cret").arg("serve"));
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("GALLERIST_REDIS_URL: the address of the Redis server"), "{}", wrong.err);
    assert!(!wrong.err.contains("s3cret"), "{}", wrong.err);
}

/// Makes a key and a certificate for this host in a folder that a server reads; the certificate's file.
fn certify(folder: &Path) -> std::path::PathBuf {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let certificate = folder.join("certificate.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    certificate
}

#[test]
fn a_redis_server_with_tls_is_believed_by_its_certificate_alone() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let Some(server) = Server::start_with_tls(folder.path()) else { return };
    let world = World::start();
    let reaches = |trusted: &Path| {
        let mut command = world.gallerist();
        command.env("GALLERIST_REDIS_URL", server.url()).env("SSL_CERT_FILE", trusted);
        let serve = Running::start(command.args(["serve", "--json"]));
        let reaches = reaches_redis(&serve);
        assert_eq!(serve.end().code, 0);
        reaches
    };
    assert!(reaches(&certificate));
    let other = tempfile::tempdir().unwrap();
    assert!(!reaches(&certify(other.path())), "the certificate is another's");
}

#[test]
fn serve_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let nothing =
        run(gallerist(home.path()).env("GALLERIST_OPENAI_BASE_URL", "http://127.0.0.1:1/v1").arg("serve"));
    assert_eq!(nothing.code, 2);
    for expected in
        ["no provider is on", "OPENAI_API_KEY for OpenAI", "GALLERIST_OPENAI_BASE_URL is set, but"]
    {
        assert!(nothing.err.contains(expected), "{expected} in\n{}", nothing.err);
    }
    assert!(!home.path().join(".local").exists(), "no books are made");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(gallerist(home.path())
        .env("OPENAI_API_KEY", "sk-x")
        .env("GALLERIST_LISTEN", &address)
        .arg("serve"));
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(&address) && refused.err.contains("GALLERIST_LISTEN"), "{}", refused.err);
}

#[test]
fn keys_come_and_go_with_and_without_a_gateway() {
    let world = World::start();
    let made = world.json(&["keys", "create", "--name", "before"]);
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let quotes = format!("{}/quotes", serve.text("base_url"));
    let status = |key: &str| http("POST", &quotes, key, Some(&json!({"prompt": "x"}))).0;
    assert_eq!(status(made["key"].as_str().unwrap()), 200);
    let through = world.json(&["keys", "create", "--name", "through", "--role", "admin"]);
    assert_eq!(through["role"], "admin");
    assert_eq!(status(through["key"].as_str().unwrap()), 200);
    world.json(&["keys", "revoke", made["id"].as_str().unwrap()]);
    assert_eq!(status(made["key"].as_str().unwrap()), 401, "at once");
    let unknown = run(world.gallerist().args(["keys", "revoke", "ffffffffffff"]));
    assert_ne!(unknown.code, 0);
    assert_eq!(serve.end().code, 0);
    let listed = world.json(&["keys", "list"]);
    let names: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "first admin key", "through"]);
    assert!(!listed.to_string().contains(through["key"].as_str().unwrap()));
}

#[test]
fn keys_and_projects_are_limited_rotated_and_audited_with_and_without_a_gateway() {
    let world = World::start();
    let create =
        ["keys", "create", "--scopes", "generate,read", "--models", "flux-2-pro", "--images-per-minute", "6"];
    let made = world.json(&create);
    assert_eq!((&made["models"], &made["limits"]["images_per_minute"]), (&json!(["flux-2-pro"]), &json!(6)));
    let id = made["id"].as_str().unwrap();
    world.json(&["projects", "create", "shop", "--requests-per-minute", "9"]);
    let check = |actor: &str| {
        let rotated = world.json(&["keys", "rotate", id, "--grace", "60"]);
        assert!(rotated["key"].is_string() && rotated["previous_until"].is_string());
        let change = [
            "keys",
            "change",
            id,
            "--models",
            "all",
            "--images-per-minute",
            "none",
            "--expires",
            "2099-01-01",
        ];
        let changed = world.json(&change);
        assert_eq!((&changed["models"], &changed["limits"]["images_per_minute"]), (&json!([]), &Value::Null));
        assert_eq!(changed["expires_at"], "2099-01-01T00:00:00Z");
        let limited = world.json(&["projects", "limit", "shop", "--images-at-once", "3"]);
        assert_eq!(
            limited["limits"],
            json!({"requests_per_minute": 9, "images_per_minute": null, "images_at_once": 3})
        );
        let log = world.json(&["audit", "--subject", id]);
        let newest: Vec<_> = (0..2).map(|row| log["data"][row]["action"].as_str().unwrap()).collect();
        assert_eq!(newest, ["key.change", "key.rotate"]);
        assert_eq!(log["data"][0]["actor"], actor);
        assert!(!log.to_string().contains(&rotated["key"].as_str().unwrap()[17..]));
        rotated
    };
    let first = check("command_line");
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let models = format!("{}/models", serve.text("base_url"));
    let status = |key: &Value| http("GET", &models, key["key"].as_str().unwrap(), None).0;
    assert_eq!(status(&first), 200);
    let second = check("key");
    assert_eq!((status(&first), status(&second), status(&made)), (200, 200, 401));
    let bad = run(world.gallerist().args(["keys", "change", id, "--images-per-minute", "0"]));
    assert!(bad.code == 2 && bad.err.contains("a number above 0, or none"), "{}", bad.err);
    let told = run(world.gallerist().args(["audit"]));
    assert!(
        told.code == 0 && told.out.contains("key.rotate") && told.out.contains("command line"),
        "{}",
        told.out
    );
    assert_eq!(serve.end().code, 0);
}

#[test]
fn webhooks_come_and_go_with_and_without_a_gateway() {
    let world = World::start();
    let refused = run(world.gallerist().args(["webhooks", "add", "http://127.0.0.1:9/x"]));
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("webhooks.allow_private = true"), "{}", refused.err);
    let url = "https://hooks.example/alerts";
    let made = world.json(&["webhooks", "add", url, "--kinds", "budget.*,charge.overrun"]);
    let id = made["id"].as_str().unwrap();
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let rotated = world.json(&["webhooks", "rotate", id]);
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_ne!(rotated["secret"], made["secret"]);
    let through = world.json(&["webhooks", "add", url, "--format", "slack"]);
    assert_eq!(serve.end().code, 0);
    // Nobody listens at the name, with or without a gateway; a test says so, and is no success.
    let tested = run(world.gallerist().args(["webhooks", "test", id, "--json"]));
    assert_eq!((tested.code, tested.err.contains("the test was not delivered")), (1, true), "{}", tested.err);
    let listed = world.json(&["webhooks", "list"]);
    let kinds: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|one| &one["kinds"]).collect();
    assert_eq!(kinds, [&json!(["budget.*", "charge.overrun"]), &json!([])]);
    assert!(!listed.to_string().contains("whsec_"));
    world.json(&["webhooks", "remove", id]);
    world.json(&["webhooks", "remove", through["id"].as_str().unwrap()]);
    assert_eq!(world.json(&["webhooks", "list"])["data"], json!([]));
    assert_eq!(world.json(&["alerts", "list"])["data"], json!([]));
    assert_eq!(run(world.gallerist().args(["webhooks", "rotate", id])).code, 1);
}

#[test]
fn the_books_read_the_same_with_and_without_a_gateway() {
    let world = World::start();
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let generated = world.json(&["generate", "a blue cat", "--size", "1024x1024", "-o", "cat.png"]);
    assert!(std::fs::read(world.home.path().join("cat.png")).unwrap().starts_with(b"\x89PNG"));
    world.json(&["projects", "create", "shop", "--cap-usd", "5"]);
    world.json(&["projects", "cap", "default", "20"]);
    world.json(&[
        "credits",
        "add",
        "bfl",
        "100",
        "0.90",
        "--fee-percent",
        "5.5",
        "--fee-minimum-usd",
        "0.80",
    ]);
    let id = generated["gallerist"]["request_id"].as_str().unwrap();
    let commands: &[&[&str]] = &[
        &["keys", "list"],
        &["projects", "list"],
        &["projects", "show", "shop"],
        &["audit"],
        &["audit", "--subject", "shop", "--limit", "1"],
        &["requests", "list", "--end-user", "ann", "--tag", "team=red"],
        &["credits", "list"],
        &["webhooks", "list"],
        &["alerts", "list"],
        &["requests", "list"],
        &["requests", "show", id],
        &["usage"],
        &["usage", "--group-by", "day,project", "--from", "2020-01-01"],
        &["usage", "--group-by", ""],
    ];
    let read = || -> Vec<Value> { commands.iter().map(|command| world.json(command)).collect() };
    let with = read();
    let tables: Vec<Ran> = commands.iter().map(|command| run(world.gallerist().args(*command))).collect();
    assert!(tables.iter().all(|table| table.code == 0 && !table.out.is_empty()));
    assert_eq!(serve.end().code, 0);
    let without = read();
    for ((command, with), without) in commands.iter().zip(&with).zip(&without) {
        assert_eq!(with, without, "{command:?}");
    }
}

#[test]
fn credits_are_entered_and_forecast_without_a_gateway() {
    let world = World::start();
    let lot = world.json(&["credits", "add", "openrouter", "100", "100", "--fee-percent", "5.5"]);
    assert_eq!((&lot["cost_usd"], &lot["list_usd"]), (&json!("105.5000000000"), &json!("1.0550000000")));
    world.json(&[
        "credits",
        "add",
        "bfl",
        "1000",
        "9",
        "--purchased-at",
        "2026-01-01",
        "--expires-at",
        "2026-02-01",
    ]);
    let lots = world.json(&["credits", "list"]);
    // Its loss is booked by whoever opens the books next.
    assert_eq!(lots["data"][0]["expired_usd"], "9.0000000000");
    assert_eq!(world.json(&["usage"])["totals"]["expired_usd"], "9.0000000000");
    let forecast = world.json(&["credits", "forecast"]);
    assert_eq!(forecast["providers"][0]["provider"], "openrouter");
    assert_eq!(forecast["providers"][0]["routed_usd"], "1.0550000000");
    for command in [["credits", "list"], ["credits", "forecast"]] {
        let told = run(world.gallerist().args(command));
        assert!(told.code == 0 && told.out.contains("openrouter"), "{}", told.out);
    }
    let moved = world.json(&["credits", "use", "openrouter", "40", "--note", "by hand"]);
    assert_eq!(
        moved["data"].as_array().unwrap().iter().filter(|lot| lot["outside"] == "40").count(),
        1,
        "{moved}"
    );
    let refused = run(world.gallerist().args(["credits", "balance", "openrouter", "1000000"]));
    assert!(refused.code != 0 && refused.err.contains("ever entered"), "{}", refused.err);
    let refused = run(world.gallerist().args(["credits", "add", "nobody", "1", "1"]));
    assert_eq!(refused.code, 2, "{}", refused.err);
    let refused = run(world.gallerist().args(["credits", "add", "bfl", "1", "1", "--currency", "neuron"]));
    assert_eq!(refused.code, 2, "{}", refused.err);
}

#[test]
fn generate_works_without_a_gateway_and_books_what_it_cost() {
    let world = World::start();
    let made = world.json(&["generate", "two blue cats", "-n", "2", "--format", "jpeg"]);
    assert_eq!(made["paths"], json!(["two-blue-cats.jpg", "two-blue-cats-2.jpg"]));
    let usage = world.json(&["usage"]);
    assert_eq!(usage["totals"]["charged_usd"], made["gallerist"]["cost"]["charged_usd"]);
    assert_eq!(usage["totals"]["images"], 2);
    let refused = run(world.gallerist().args(["generate", "x", "--max-cost-usd", "0.0000001"]));
    assert_eq!(refused.code, 1);
    assert!(!refused.err.is_empty());
    let ending = run(world.gallerist().args(["generate", "x", "-o", "cat.gif"]));
    assert_eq!(ending.code, 2);
}

#[test]
fn a_cap_of_the_settings_is_enforced() {
    let world = World::start();
    std::fs::write(
        world.home.path().join("g.toml"),
        "cap_usd = \"0.001\"\nbaseline = \"openai/gpt-image-2\"\n",
    )
    .unwrap();
    let serve = Running::start(world.gallerist().args(["serve", "--json", "--config", "g.toml"]));
    assert_eq!(serve.ready["cap_usd"], "0.0010000000");
    let refused = run(world.gallerist().args(["generate", "x"]));
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("cap"), "{}", refused.err);
}

#[test]
fn a_route_and_a_migration_of_the_settings_are_served_quoted_and_shown() {
    let world = World::start();
    let settings = "[routes.thumbs]\nmodels = { only = [\"gpt-image-2.5-flare\"] }\nclass = \"draft\"\n\
                    [migrations]\n\"dall-e-3\" = \"thumbs\"\n\"gpt-image-2\" = \"flux-2-pro\"\n";
    std::fs::write(world.home.path().join("g.toml"), settings).unwrap();
    let serve = Running::start(world.gallerist().args(["serve", "--json", "--config", "g.toml"]));
    assert_eq!(serve.ready["routes"], json!(["auto", "thumbs"]));
    let made = world.json(&["generate", "a kite", "--model", "thumbs"]);
    assert_eq!(made["gallerist"]["offer"], "openai/gpt-image-2.5-flare");
    assert_eq!(made["gallerist"]["route"], "thumbs");
    let led = run(world.gallerist().args(["generate", "a kite", "--model", "dall-e-3", "-o", "led.png"]));
    let warning = "To know: dall-e-3 is gone; the settings migrate it to thumbs";
    assert!(led.code == 0 && led.err.contains(warning), "{}", led.err);
    let requests = world.json(&["requests", "list"]);
    assert_eq!(requests["data"][0]["model"], "dall-e-3");
    let shown =
        run(world.gallerist().args(["requests", "show", requests["data"][0]["id"].as_str().unwrap()]));
    assert!(
        shown.out.contains("dall-e-3 is gone and was migrated to thumbs; by the route thumbs"),
        "{}",
        shown.out
    );
    let quoted = world.json(&["quote", "a kite", "--model", "thumbs", "--config", "g.toml"]);
    assert_eq!(
        (&quoted["route"], &quoted["offers"][0]["offer"]),
        (&json!("thumbs"), &json!("openai/gpt-image-2.5-flare"))
    );
    let checked = run(world.gallerist().args(["prices", "check", "--config", "g.toml"]));
    let note = "the migration of gpt-image-2 is not followed: gpt-image-2 still works";
    assert!(checked.code == 0 && checked.err.contains(note), "{}{}", checked.out, checked.err);
}

#[test]
fn reading_books_makes_none() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(gallerist(home.path()).args(["usage", "--data-dir", "nowhere"]));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there are no books in nowhere") && ran.err.contains("gallerist serve"));
    assert!(!home.path().join("nowhere").exists());
}

#[test]
fn fakes_say_where_they_are_with_and_without_tls() {
    let home = tempfile::tempdir().unwrap();
    let plain = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let names: Vec<&String> = plain.ready.as_object().unwrap().keys().collect();
    assert_eq!(names, ["event", "fakes", "fake_keys"]);
    assert_eq!(plain.end().code, 0);
    let tls = Running::start(gallerist(home.path()).args(["fakes", "--json", "--tls", "ca.pem"]));
    assert!(tls.ready["fakes_tls"]["fal"].as_str().unwrap().starts_with("https://"));
    assert!(std::fs::read_to_string(home.path().join("ca.pem")).unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(run(gallerist(home.path()).args(["fakes", "--port", "opnai=1"])).code, 2);
}

#[test]
fn a_signal_lets_requests_finish_and_a_second_one_does_not_wait() {
    let world = World::start();
    let origin = world.fakes.ready["fakes"]["openai"].as_str().unwrap();
    let slow = json!([{"fault": "latency", "ms": 1_500, "probability": 1.0}]);
    assert_eq!(http("PUT", &format!("{origin}/_fake/faults"), "", Some(&slow)).0, 200);
    let start = || {
        let serve = Running::start(
            world.gallerist().env("GALLERIST_API_KEY", "sk-of-a-client").args(["serve", "--json"]),
        );
        let url = format!("{}/images/generations", serve.text("base_url"));
        let asked = std::thread::spawn(move || {
            let body = json!({"prompt": "a kite", "gallerist": {"seed": null}});
            std::panic::catch_unwind(|| http("POST", &url, "sk-of-a-client", Some(&body)).0).ok()
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        (serve, asked)
    };
    let (patient, asked) = start();
    assert_eq!(patient.end().code, 0);
    assert_eq!(asked.join().unwrap(), Some(200), "the answer came after the signal");
    let (impatient, asked) = start();
    impatient.terminate();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let begun = std::time::Instant::now();
    assert_eq!(impatient.end().code, 1);
    assert!(begun.elapsed().as_millis() < 800, "{:?}", begun.elapsed());
    assert_eq!(asked.join().unwrap(), None, "the connection broke");
    let requests = world.json(&["requests", "list"]);
    let statuses: Vec<&str> = requests["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["running", "succeeded"], "the next start settles what is open");
}

#[test]
fn a_dispute_is_found_and_ended_with_and_without_a_gateway() {
    let world = World::start();
    let origin = world.fakes.ready["fakes"]["openai"].as_str().unwrap();
    let breaks = json!([{"fault": "reset_after", "probability": 1.0}]);
    assert_eq!(http("PUT", &format!("{origin}/_fake/faults"), "", Some(&breaks)).0, 200);
    let broken = |prompt: &str| assert_eq!(run(world.gallerist().args(["generate", prompt])).code, 1);
    broken("first");
    broken("second");
    let disputed = || -> Vec<String> {
        let list = world.json(&["requests", "list", "--disputed"]);
        let ids = list["data"].as_array().unwrap().iter();
        ids.map(|request| request["id"].as_str().unwrap().to_owned()).collect()
    };
    let [second, first] = <[String; 2]>::try_from(disputed()).unwrap();
    let one = world.json(&["requests", "list", "--disputed", "--limit", "1"]);
    assert_eq!((one["data"].as_array().unwrap().len(), &one["has_more"]), (1, &json!(true)));
    for command in ["usage", "projects list"] {
        let hint = run(world.gallerist().args(command.split(' ')));
        assert!(hint.out.contains("requests list --disputed"), "{}", hint.out);
    }
    let shown = run(world.gallerist().args(["requests", "show", &first]));
    assert!(
        shown.out.contains(&format!("gallerist requests resolve {first} 1 --charged-usd")),
        "{}",
        shown.out
    );

    // In the store itself, and through the gateway that holds it.
    let resolve = |id: &str, charged: &str| {
        let arguments = ["requests", "resolve", id, "1", "--charged-usd", charged, "--json"];
        run(world.gallerist().args(arguments))
    };
    let released = resolve(&first, "0").json();
    assert_eq!(released["attempts"][0]["status"], "released");
    assert_eq!(disputed(), [second.as_str()]);
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let settled = resolve(&second, "$0.04").json();
    assert_eq!(settled["attempts"][0]["status"], "settled");
    assert_eq!(settled["attempts"][0]["basis"], released["attempts"][0]["basis"]);
    assert_eq!(settled["charged_usd"], "0.0400000000");
    let through = resolve(&second, "0.04");
    assert_eq!(serve.end().code, 0);
    let here = resolve(&second, "0.04");
    assert!(here.err.contains("Attempt 1 is settled, not disputed"), "{}", here.err);
    assert_eq!((through.code, through.err), (here.code, here.err));
    assert_eq!(resolve(&second, "-1").code, 2);
    assert!(disputed().is_empty());
    let project = &world.json(&["projects", "list"])["data"][0];
    assert_eq!(
        (&project["settled_usd"], &project["disputed_usd"]),
        (&json!("0.0400000000"), &json!("0.0000000000"))
    );
    let table = run(world.gallerist().args(["requests", "show", &second]));
    assert!(
        table.out.contains("was disputed") && table.out.contains("(resolved by person)"),
        "{}",
        table.out
    );
    assert!(!run(world.gallerist().arg("usage")).out.contains("--disputed"));
}
