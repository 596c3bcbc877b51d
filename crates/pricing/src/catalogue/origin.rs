//! Where the catalogue comes from: the files in the binary, those of a directory, and the described ones.
//!
//! A gateway needs the kinds that it can order from at once, and the hundreds of other models only when
//! somebody looks at prices; so it reads the ones first and the others when they are asked for. Both have the
//! digest of all files.

use super::{Catalogue, Mistake};
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What a catalogue is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Files here replace the embedded ones of the same name, or join them.
    pub directory: Option<PathBuf>,
    /// Whether models count that articles describe and no public price sheet confirms (`catalog/described/`).
    pub described: bool,
}

type File = (String, String);

/// A kind of provider, as the head of its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: String,
    /// Customary variables of its key.
    pub key_variables: Vec<String>,
    /// Whether the gateway can order there; else its prices alone are known.
    pub served: bool,
}

impl Kind {
    fn of(text: &str) -> Option<Kind> {
        let end = text.find("\n[").map_or(text.len(), |at| at + 1);
        let head: toml::Table = text[..end].parse().ok()?;
        let variables = head.get("key_variables").and_then(toml::Value::as_array);
        let words = variables.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned()));
        Some(Kind {
            name: head.get("kind")?.as_str()?.to_owned(),
            key_variables: words.collect(),
            served: is_served(text),
        })
    }
}

impl Origin {
    /// Everything that has a price.
    ///
    /// # Errors
    /// All mistakes of all files, or the file that cannot be read.
    pub fn whole(&self) -> Result<Catalogue, Vec<Mistake>> {
        let (files, _) = self.files()?;
        let digest = digest(&files);
        Catalogue::read(&files, digest)
    }

    /// As [`Origin::whole`] would be if these files, by name and text, were in the directory too.
    ///
    /// # Errors
    /// As [`Origin::whole`].
    pub fn whole_with(&self, added: &[(String, String)]) -> Result<Catalogue, Vec<Mistake>> {
        let (mut files, _) = self.files()?;
        files.retain(|(name, _)| added.iter().all(|(other, _)| other != name));
        files.extend_from_slice(added);
        files.sort();
        Catalogue::from_files(files)
    }

    /// The kinds that the gateway can order from, and every file of the directory.
    ///
    /// # Errors
    /// As [`Origin::whole`]; the embedded files that are left out have no mistakes.
    pub fn served(&self) -> Result<Catalogue, Vec<Mistake>> {
        let (mut files, own) = self.files()?;
        let digest = digest(&files);
        // What is resold may rest on any other file.
        let resells = files.iter().any(|(name, text)| own.contains(name) && text.contains("resale_of"));
        if !resells {
            files.retain(|(name, text)| own.contains(name) || is_served(text));
        }
        Catalogue::read(&files, digest)
    }

    /// Every kind that has a file, read no further than its first table; files with mistakes are left out.
    pub fn kinds(&self) -> Vec<Kind> {
        let files = self.files().map(|(files, _)| files).unwrap_or_default();
        files.iter().filter_map(|(_, text)| Kind::of(text)).collect()
    }

    /// All files in order, and the names of those of the directory.
    fn files(&self) -> Result<(Vec<File>, Vec<String>), Vec<Mistake>> {
        let described = if self.described { DESCRIBED } else { &[] };
        let embedded = EMBEDDED.iter().chain(described);
        let mut files: Vec<File> =
            embedded.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let own = match &self.directory {
            Some(directory) => of_directory(directory)?,
            None => Vec::new(),
        };
        let names: Vec<String> = own.iter().map(|(name, _)| name.clone()).collect();
        files.retain(|(name, _)| !names.contains(name));
        files.extend(own);
        files.sort();
        Ok((files, names))
    }
}

fn of_directory(directory: &Path) -> Result<Vec<File>, Vec<Mistake>> {
    let unreadable = |path: &Path, error: std::io::Error| {
        vec![Mistake {
            file: path.display().to_string(),
            line: 1,
            message: format!("cannot be read: {error}"),
        }]
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, text));
        }
    }
    Ok(files)
}

/// Whether a file says, above its first table, that the gateway can order there.
fn is_served(text: &str) -> bool {
    let head = text.lines().take_while(|line| !line.starts_with('['));
    let mut keys = head.filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
    keys.any(|key| key == "serves" || key == "adapter")
}

/// Digest of names and texts, the first sixteen hexadecimal digits.
pub(super) fn digest(files: &[File]) -> String {
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort();
    let mut hasher = blake3::Hasher::new();
    for (name, text) in sorted {
        hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_part_of_the_whole_under_one_digest() {
        let origin = Origin::default();
        let (whole, served) = (origin.whole().expect("sound"), origin.served().expect("sound"));
        assert_eq!(whole.digest, served.digest);
        assert!(served.providers.iter().all(|provider| !provider.serves.is_empty()));
        let kinds = |catalogue: &Catalogue| -> Vec<String> {
            let served = catalogue.providers.iter().filter(|provider| !provider.serves.is_empty());
            served.map(|provider| provider.kind.clone()).collect()
        };
        assert_eq!(kinds(&whole), kinds(&served));
        assert!(whole.providers.len() > served.providers.len());
    }

    #[test]
    fn the_head_of_a_file_says_its_kind() {
        let (whole, kinds) = (Origin::default().whole().expect("sound"), Origin::default().kinds());
        assert_eq!(kinds.len(), whole.providers.len());
        for kind in kinds {
            let sheet = whole.provider(&kind.name).expect("it has a file");
            assert_eq!(
                (kind.key_variables, kind.served),
                (sheet.key_variables.clone(), !sheet.serves.is_empty())
            );
        }
    }

    #[test]
    fn described_models_are_there_only_when_they_are_switched_on() {
        let described = Origin { described: true, ..Origin::default() }.whole().expect("sound");
        let extra: Vec<_> =
            described.providers.iter().filter(|provider| provider.kind.starts_with("described-")).collect();
        assert!(!extra.is_empty());
        for provider in extra {
            assert!(provider.serves.is_empty(), "{} cannot be ordered from", provider.kind);
            for model in &provider.models {
                let lines = model.sheet.lines.iter().map(|line| line.source.confidence);
                assert!(lines.clone().all(|confidence| confidence == crate::sheet::Confidence::Unverified));
            }
        }
        let usual = Catalogue::embedded();
        assert!(usual.providers.iter().all(|provider| !provider.kind.starts_with("described-")));
    }
}
