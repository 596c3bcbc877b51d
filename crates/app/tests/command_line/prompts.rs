//! Prompts: nowhere in the books, unless the settings say that they are stored.

use crate::support::{Running, gallerist, run};
use std::path::Path;
use std::process::Command;

const PROMPT: &str = "a zeppelin of marzipan";

fn with_provider(home: &Path, fakes: &Running) -> Command {
    let mut command = gallerist(home);
    let origin = fakes.ready["fakes"]["openai"].as_str().unwrap();
    command
        .env("OPENAI_API_KEY", fakes.ready["fake_keys"]["openai"].as_str().unwrap())
        .env("GALLERIST_OPENAI_BASE_URL", format!("{origin}/v1"))
        .env("GALLERIST_DATA_DIR", home.join("books"));
    command
}

/// Whether a file below the folder holds the text.
fn holds(folder: &Path, text: &str) -> bool {
    let held =
        |path: &Path| std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes());
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { holds(&path, text) } else { held(&path) }
    })
}

#[test]
fn nothing_of_a_prompt_is_in_the_books_unless_it_is_switched_on() {
    let home = tempfile::tempdir().unwrap();
    let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
    let made =
        run(with_provider(home.path(), &fakes).args(["generate", PROMPT, "-o", "a.png", "--json"])).json();
    let id = made["gallerist"]["request_id"].as_str().unwrap();
    let shown = run(with_provider(home.path(), &fakes).args(["requests", "show", id, "--json"])).json();
    assert!(shown.get("prompt").is_none(), "{shown}");
    assert_eq!(shown["asked"]["prompt_characters"], PROMPT.len());
    for word in ["zeppelin", "marzipan"] {
        assert!(!holds(&home.path().join("books"), word), "{word}");
    }
    std::fs::write(home.path().join("g.toml"), "store_prompts = true\n").unwrap();
    let settings = ["--config", "g.toml"];
    let made = run(with_provider(home.path(), &fakes)
        .args(["generate", PROMPT, "-o", "b.png", "--json"])
        .args(settings))
    .json();
    let id = made["gallerist"]["request_id"].as_str().unwrap();
    let shown = run(with_provider(home.path(), &fakes).args(["requests", "show", id, "--json"])).json();
    assert_eq!(shown["prompt"], PROMPT);
    let told = run(with_provider(home.path(), &fakes).args(["requests", "show", id]));
    assert!(told.out.contains(&format!("Prompt: {PROMPT}")), "{}", told.out);
}
