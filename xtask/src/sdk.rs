//! The official SDKs, unchanged, against the gateway and against the stand-ins.
//!
//! The scripts lie in `tests/sdk`. Those against the gateway are run once per group of cases, each with
//! a fresh demo, because a fault script leaves breakers open behind it. The witnesses run the vendors' own
//! SDKs against the stand-ins: what makes a picture there shows that the double is faithful. A script
//! prints a line per case, `ok …` or `FAIL …`, and these are counted.

use crate::server_process::ServerProcess;
use crate::shell::{Tally, command, root, run_and_read};
use crate::tools::Tools;
use anyhow::{Context, Result};
use std::process::Command;

/// Groups of cases that both gateway scripts know; see the head of `openai_python.py`.
const GROUPS: &[&str] = &[
    "surface",
    "errors",
    "accounts",
    "client_timeout",
    "rate_limited",
    "upstream_failed",
    "no_second_payment",
    "spoilt_but_billed",
];

/// Groups that want a gateway with a short deadline, or one that ends before its stand-ins do.
const GROUPS_OF_SERVE: &[&str] = &["deadline", "shutdown"];

/// The deadline of [`GROUPS_OF_SERVE`]; longer than what `shutdown` lets a picture take.
const DEADLINE_MS: u32 = 5_000;

/// What turns a provider on and moves it to its stand-in: kind, variable of its key, path behind the origin.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("openai", "OPENAI_API_KEY", "/v1"),
    ("google", "GEMINI_API_KEY", "/v1beta"),
    ("bfl", "BFL_API_KEY", "/v1"),
    ("stability", "STABILITY_API_KEY", ""),
    ("fal", "FAL_KEY", ""),
];

/// A vendor's SDK against its stand-in. The script's arguments are the address and the key.
struct Witness {
    script: &'static str,
    kind: &'static str,
    /// What the vendor's SDK wants behind the origin.
    path: &'static str,
    /// Engines of one's own ask for no key.
    key: bool,
    /// The SDK speaks nothing but TLS.
    tls: bool,
}

const WITNESSES: &[Witness] = &[
    Witness { script: "witness_openai.py", kind: "openai", path: "/v1", key: true, tls: false },
    Witness { script: "witness_google.py", kind: "google", path: "", key: true, tls: false },
    Witness { script: "witness_fal.py", kind: "fal", path: "", key: true, tls: true },
    Witness { script: "witness_automatic1111.py", kind: "automatic1111", path: "", key: false, tls: false },
];

/// Runs all scripts. What cannot be started counts as failed.
pub fn run(tools: &Tools) -> Tally {
    let mut tally = Tally::default();
    let python = tools.python.to_string_lossy().into_owned();
    for (interpreter, script) in [(&python, "openai_python.py"), (&tools.node, "openai_node.mjs")] {
        for group in GROUPS {
            let done = against_the_gateway(interpreter, script, group);
            tally.add(done.unwrap_or_else(|error| failed(format!("{script} {group}: {error:#}"))));
        }
        for group in GROUPS_OF_SERVE {
            let done = against_serve(interpreter, script, group);
            tally.add(done.unwrap_or_else(|error| failed(format!("{script} {group}: {error:#}"))));
        }
    }
    let done = against_serve(&python, "webhooks_python.py", "webhooks");
    tally.add(done.unwrap_or_else(|error| failed(format!("webhooks_python.py: {error:#}"))));
    let done = witnesses(&python);
    tally.add(done.unwrap_or_else(|error| failed(format!("witnesses: {error:#}"))));
    tally
}

fn against_the_gateway(interpreter: &str, script: &str, group: &str) -> Result<Tally> {
    let demo =
        ServerProcess::start(&["demo", "--json", "--no-images", "--port", "0", "--data-dir", "{dir}"])?;
    let mut command = command(interpreter);
    command.arg(root().join("tests/sdk").join(script)).arg(group);
    command.env("GALLERIST_BASE_URL", demo.text("base_url")?);
    command.env("GALLERIST_API_KEY", demo.text("api_key")?);
    command.env("GALLERIST_ADMIN_KEY", demo.text("admin_key")?);
    command.env("GALLERIST_FAKES", demo.ready["fakes"].to_string());
    count(&mut command, &format!("{script} {group}"))
}

/// As [`against_the_gateway`], with gateway and stand-ins in processes of their own.
fn against_serve(interpreter: &str, script: &str, group: &str) -> Result<Tally> {
    let fakes = ServerProcess::start(&["fakes", "--json"])?;
    let (key, admin_key) = ("sk-client-of-the-sdks", "sk-admin-of-the-sdks");
    let settings = tempfile::NamedTempFile::new().context("no temporary file")?;
    let text = format!("deadline_ms = {DEADLINE_MS}\nwebhooks.allow_private = true\n");
    std::fs::write(settings.path(), text)?;
    let mut variables = vec![
        ("GALLERIST_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("GALLERIST_DATA_DIR".to_owned(), "{dir}".to_owned()),
        ("GALLERIST_CONFIG".to_owned(), settings.path().to_string_lossy().into_owned()),
        ("GALLERIST_API_KEY".to_owned(), key.to_owned()),
        ("GALLERIST_ADMIN_KEY".to_owned(), admin_key.to_owned()),
    ];
    for (kind, variable, path) in PROVIDERS {
        let text = |member: &str| fakes.ready[member][kind].as_str().unwrap_or_default().to_owned();
        variables.push(((*variable).to_owned(), text("fake_keys")));
        let base_url = format!("GALLERIST_{}_BASE_URL", kind.to_uppercase());
        variables.push((base_url, text("fakes") + path));
    }
    let gateway = ServerProcess::start_with(&["serve", "--json"], &variables)?;
    let mut command = command(interpreter);
    command.arg(root().join("tests/sdk").join(script)).arg(group);
    command.env("GALLERIST_BASE_URL", gateway.text("base_url")?);
    command.env("GALLERIST_API_KEY", key).env("GALLERIST_ADMIN_KEY", admin_key);
    command.env("GALLERIST_FAKES", fakes.ready["fakes"].to_string());
    command.env("GALLERIST_DEADLINE_MS", DEADLINE_MS.to_string());
    command.env("GALLERIST_PROCESS", gateway.id().to_string());
    count(&mut command, &format!("{script} {group}"))
}

fn witnesses(python: &str) -> Result<Tally> {
    let certificate = tempfile::NamedTempFile::new().context("no temporary file")?;
    let certificate_path = certificate.path().to_string_lossy().into_owned();
    let fakes = ServerProcess::start(&["fakes", "--json", "--tls", &certificate_path])?;
    let mut tally = Tally::default();
    for witness in WITNESSES {
        let origins = if witness.tls { "fakes_tls" } else { "fakes" };
        let Some(origin) = fakes.ready[origins][witness.kind].as_str() else {
            tally.fail(format!("{}: the ready line has no {origins}.{}", witness.script, witness.kind));
            continue;
        };
        let mut command = command(python);
        command.arg(root().join("tests/sdk").join(witness.script)).arg(format!("{origin}{}", witness.path));
        if witness.key {
            command.arg(fakes.ready["fake_keys"][witness.kind].as_str().unwrap_or_default());
        }
        if witness.tls {
            command.env("SSL_CERT_FILE", &certificate_path);
        }
        let done = count(&mut command, witness.script);
        tally.add(done.unwrap_or_else(|error| failed(format!("{}: {error:#}", witness.script))));
    }
    Ok(tally)
}

/// Counts the cases of one script. One that ends badly without naming a case counts as one failure.
fn count(command: &mut Command, name: &str) -> Result<Tally> {
    let (succeeded, text) = run_and_read(command)?;
    Ok(count_lines(&text, succeeded, name))
}

fn count_lines(text: &str, succeeded: bool, name: &str) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines() {
        if line.starts_with("ok ") {
            tally.pass();
        } else if let Some(case) = line.strip_prefix("FAIL ") {
            tally.fail(format!("{name}: {case}"));
        }
    }
    if !succeeded && tally.failed == 0 {
        tally.fail(format!("{name}: {}", text.lines().last().unwrap_or("ended without a word")));
    }
    if succeeded && tally.passed == 0 {
        tally.fail(format!("{name}: it tested nothing"));
    }
    tally
}

fn failed(what: String) -> Tally {
    let mut tally = Tally::default();
    tally.fail(what);
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_cases_and_notices_silence() {
        let tally = count_lines("ok one\nok two\nFAIL three: no\n", false, "script");
        assert_eq!((tally.passed, tally.failed), (2, 1));
        assert_eq!(tally.failures, ["script: three: no"]);
        assert_eq!(count_lines("ok one\nTraceback\nValueError: x\n", false, "script").failed, 1);
        assert_eq!(count_lines("", true, "script").failed, 1);
        assert_eq!(count_lines("ok one\n", true, "script"), Tally { passed: 1, ..Tally::default() });
    }
}
