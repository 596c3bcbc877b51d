//! Python and Node with the official SDKs, for the tests that need them.
//!
//! Everything is installed below `target/sdk` and `tests/sdk/node_modules`, from the versions that
//! `tests/sdk/requirements.txt` and `package-lock.json` name, once per version. What the system lacks is
//! taken from Debian's packages where we may install them; else the error says what to install. It
//! refuses to skip: a machine without Python or Node fails the suite.

use crate::shell::{command, exists, must, root, run, target};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::PathBuf;

/// Interpreters that can import what the tests import.
pub struct Tools {
    /// Python of an environment of our own.
    pub python: PathBuf,
    pub node: String,
}

/// The oldest Node that the pinned SDK runs on.
const NODE_MAJOR_MIN: u32 = 20;

/// Finds or installs everything. Quick when nothing changed since the last run.
///
/// # Errors
/// Says what is missing and what to install.
pub fn set_up() -> Result<Tools> {
    Ok(Tools { python: python()?, node: node()? })
}

fn python() -> Result<PathBuf> {
    let folder = target().join("sdk/venv");
    let python = folder.join("bin/python");
    let wanted = root().join("tests/sdk/requirements.txt");
    let wanted_text = fs::read_to_string(&wanted).context("tests/sdk/requirements.txt")?;
    let mark = folder.join("installed.txt");
    let current = fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted_text);
    if current && python.exists() {
        return Ok(python);
    }
    if !exists("python3", &["--version"]) {
        install_from_debian(&["python3", "python3-venv"], "Python 3.10 or later")?;
    }
    let create = || run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    // Debian splits the module that makes environments with pip off the interpreter.
    if !create()? {
        install_from_debian(&["python3-venv"], "Python's venv module (Debian: python3-venv)")?;
        ensure!(create()?, "python3 -m venv does not work here");
    }
    let python_text = python.to_string_lossy().into_owned();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    must(command(&python_text).args(pip).arg(&wanted)).context("the Python packages cannot be installed")?;
    fs::write(&mark, wanted_text)?;
    Ok(python)
}

fn node() -> Result<String> {
    if !exists("node", &["--version"]) || !exists("npm", &["--version"]) {
        install_from_debian(&["nodejs", "npm"], "Node 20 or later with npm")?;
    }
    let version = command("node").arg("--version").output().context("node --version")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    ensure!(
        major.is_some_and(|major| major >= NODE_MAJOR_MIN),
        "the Node SDK needs Node {NODE_MAJOR_MIN} or later, this is {version}"
    );
    let folder = root().join("tests/sdk");
    let lock = fs::read_to_string(folder.join("package-lock.json")).context("tests/sdk/package-lock.json")?;
    let mark = folder.join("node_modules/installed.txt");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == lock) {
        let clean = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        must(command("npm").args(clean).current_dir(&folder))
            .context("the Node packages cannot be installed")?;
        fs::write(&mark, lock)?;
    }
    Ok("node".to_owned())
}

/// Installs Debian's packages when we are root or may become it without a password.
pub fn install_from_debian(packages: &[&str], needed: &str) -> Result<()> {
    let root_already = command("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    let prefix: &[&str] = match root_already {
        true => &["env"],
        false if exists("sudo", &["-n", "true"]) => &["sudo", "-n", "env"],
        false => bail!("{needed} is missing and we may not install it: please install it and run again"),
    };
    if !exists("apt-get", &["--version"]) {
        bail!("{needed} is missing and there is no apt-get: please install it and run again");
    }
    let apt = |arguments: &[&str]| {
        let mut command = command(prefix[0]);
        command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]).args(arguments);
        command
    };
    // A stale index is usual in containers; a failed refresh shows in the installation.
    run(&mut apt(&["update"]))?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    must(install.args(packages)).with_context(|| format!("{needed} is missing"))
}
