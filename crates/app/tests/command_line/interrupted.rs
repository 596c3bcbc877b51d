//! Signals while a picture is being made: it is paid for, so it is waited for.

use crate::support::{Running, gallerist, http, run};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const UNTIL: Duration = Duration::from_secs(30);

struct Slow {
    home: tempfile::TempDir,
    fakes: Running,
}

impl Slow {
    /// A provider that takes so long for each picture.
    fn start(latency_ms: u64) -> Slow {
        let home = tempfile::tempdir().unwrap();
        let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
        let slow = Slow { home, fakes };
        let faults = json!([{"fault": "latency", "ms": latency_ms}]);
        let (status, said) = http("PUT", &format!("{}/_fake/faults", slow.origin()), "", Some(&faults));
        assert!((200..300).contains(&status), "{said}");
        slow
    }

    fn origin(&self) -> &str {
        self.fakes.ready["fakes"]["openai"].as_str().unwrap()
    }

    fn gallerist(&self) -> Command {
        let mut command = gallerist(self.home.path());
        command
            .env("OPENAI_API_KEY", self.fakes.ready["fake_keys"]["openai"].as_str().unwrap())
            .env("GALLERIST_OPENAI_BASE_URL", format!("{}/v1", self.origin()))
            .env("GALLERIST_DATA_DIR", self.home.path().join("books"))
            .env("GALLERIST_LISTEN", "127.0.0.1:0");
        command
    }

    /// Starts `generate`, and waits until the stand-in has been asked.
    fn generate(&self, file: &str) -> Child {
        let mut command = self.gallerist();
        command.args(["generate", "a kite", "-o", file]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        self.until_running();
        child
    }

    /// Until a request is reserved: its row is on disk before the provider is called.
    fn until_running(&self) {
        let books = self.home.path().join("books/gallerist.sqlite-wal");
        let begun = Instant::now();
        let mut seen = None;
        while begun.elapsed() < UNTIL {
            let size = std::fs::metadata(&books).map_or(0, |file| file.len());
            // It no longer grows, so the reservation is written.
            if size > 0 && seen == Some(size) {
                std::thread::sleep(Duration::from_millis(300));
                return;
            }
            seen = Some(size);
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("nothing was reserved");
    }
}

fn interrupt(child: &Child) {
    assert!(Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Interrupts once, and again when it has said that it waits.
fn interrupt_twice(mut child: Child) -> (i32, String) {
    interrupt(&child);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    err.read_line(&mut said).unwrap();
    assert!(said.contains("Ctrl-C again leaves it"), "{said}");
    interrupt(&child);
    err.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap_or(-1), said)
}

/// The request id behind the command that shows it, whatever the log says before it.
fn id_in(text: &str) -> String {
    let (_, told) = text.rsplit_once("gallerist requests ").unwrap_or_else(|| panic!("a command in {text}"));
    let words = told.split(|letter: char| !(letter.is_ascii_hexdigit() || letter == '-'));
    words.into_iter().find(|word| word.len() == 36).unwrap_or_else(|| panic!("an id in {text}")).to_owned()
}

fn is_picture(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG"))
}

#[test]
fn a_first_interrupt_waits_for_what_is_paid_and_saves_it() {
    let slow = Slow::start(4_000);
    let child = slow.generate("kite.png");
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("being paid for"), "{err}");
    assert!(is_picture(&slow.home.path().join("kite.png")));
}

#[test]
fn a_second_interrupt_leaves_with_the_request() {
    let slow = Slow::start(60_000);
    let (code, err) = interrupt_twice(slow.generate("kite.png"));
    assert_eq!(code, 130, "{err}");
    let id = id_in(&err);
    let shown = run(slow.gallerist().args(["requests", "show", &id, "--json"])).json();
    // Nobody will hear whether it was made.
    assert_eq!(shown["attempts"][0]["status"], "disputed", "{shown}");
    assert!(!slow.home.path().join("kite.png").exists());
}

#[test]
fn what_a_second_interrupt_leaves_with_a_gateway_can_be_fetched() {
    let slow = Slow::start(4_000);
    let serve = Running::start(slow.gallerist().args(["serve", "--json"]));
    let (code, err) = interrupt_twice(slow.generate("kite.png"));
    assert_eq!(code, 130, "{err}");
    let id = id_in(&err);
    assert!(err.contains(&format!("gallerist requests picture {id}")), "{err}");
    let begun = Instant::now();
    loop {
        let fetched = run(slow.gallerist().args(["requests", "picture", &id, "-o", "late.png"]));
        if fetched.code == 0 {
            break;
        }
        assert!(begun.elapsed() < UNTIL, "{}", fetched.err);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(is_picture(&slow.home.path().join("late.png")));
    let again = run(slow.gallerist().args(["requests", "picture", &id, "-o", "late.png"]));
    assert_eq!(again.code, 1, "nothing is overwritten");
    assert_eq!(serve.end().code, 0);
}
