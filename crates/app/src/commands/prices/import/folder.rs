//! The folder that an import is written into: none that is there is replaced without being asked, and each takes its
//! place whole, once all of them are on the disk.

use crate::failure::{Failure, Result};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::import::Format;
use gallerist_pricing::import::write::Written;
use std::io::Error;
use std::path::{Path, PathBuf};

/// Writes the files, and says what of earlier imports stays beside them. With `force` files that are there are
/// replaced, with whatever somebody has put into them.
///
/// # Errors
/// Before anything is written: where a file is there already, or the folder's files would have mistakes.
pub fn write(directory: &Path, format: Format, written: &Written, force: bool) -> Result<Vec<String>> {
    if written.files.is_empty() {
        return Ok(Vec::new());
    }
    // What is no folder, and a link to nothing, are told by their names.
    if directory.symlink_metadata().is_ok() && !directory.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", directory.display())));
    }
    let path = |name: &str| directory.join(name);
    let there: Vec<&str> = written.files.iter().map(|(name, _)| name.as_str()).collect();
    let there: Vec<&str> = there.into_iter().filter(|name| path(name).symlink_metadata().is_ok()).collect();
    if !force && !there.is_empty() {
        let why = format!("{} has {} already; nothing is written", directory.display(), there.join(", "));
        return Err(Failure::usage(why).advise("another folder, or --force, which replaces them whole"));
    }
    if let Some(name) = there.iter().find(|name| !path(name).is_file()) {
        let why = format!("{} is no file, so nothing can be written in its place", path(name).display());
        return Err(Failure::usage(why).advise("another folder"));
    }
    // The folder's other files count too: a file that is written must not be what the gateway stumbles over.
    let exists = directory.is_dir().then(|| directory.to_owned());
    let origin = Origin { directory: exists, described: false };
    origin.whole_with(&written.files).map_err(|mistakes| {
        let list: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let with = format!("with these files {} would have mistakes", directory.display());
        Failure::failed(format!("{with}; nothing is written\n  {}", list.join("\n  ")))
    })?;
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    replace(directory, &written.files)?;
    Ok(left_behind(directory, format, written))
}

/// Every text is on the disk before the first takes its place.
fn replace(directory: &Path, files: &[(String, String)]) -> Result<()> {
    let part = |name: &str| directory.join(format!(".{name}.part"));
    let mut parts: Vec<PathBuf> = Vec::new();
    let written = files.iter().try_for_each(|(name, text)| {
        parts.push(part(name));
        std::fs::write(part(name), text).map_err(|error| failed(&directory.join(name), &error))
    });
    let placed = written.and_then(|()| {
        files.iter().try_for_each(|(name, _)| {
            let path = directory.join(name);
            std::fs::rename(part(name), &path).map_err(|error| failed(&path, &error))
        })
    });
    if placed.is_err() {
        for part in parts {
            // What is left of a failure is no reason for another.
            let _ = std::fs::remove_file(part);
        }
    }
    placed
}

fn failed(path: &Path, error: &Error) -> Failure {
    Failure::because(format!("{} cannot be written", path.display()), error)
}

/// Files of imports of this format that this list has nothing for: they are of an earlier day.
fn left_behind(directory: &Path, format: Format, written: &Written) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let prefix = format!("{}-", format.name());
    let mut others: Vec<String> = names
        .filter(|name| name.starts_with(&prefix) && name.ends_with(".toml"))
        .filter(|name| written.files.iter().all(|(made, _)| made != name))
        .collect();
    others.sort();
    if others.is_empty() {
        return Vec::new();
    }
    let (others, directory) = (others.join(", "), directory.display());
    vec![format!(
        "{directory} keeps {others}, which this list has no prices for: see whether they still hold."
    )]
}
