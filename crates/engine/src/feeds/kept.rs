//! The book of what feeds told, as the store keeps it for all gateways: read, written, and taken over from the file
//! that earlier versions kept beside the books.

use super::FeedFault;
use gallerist_pricing::feed::FeedBook;
use gallerist_store::{FeedPart, FeedVersions, Store};
use std::path::Path;
use std::sync::Arc;

/// Times that a change is made anew because another gateway was faster.
pub(super) const ROUNDS_MAX: u32 = 16;

/// A book, and which versions of its parts that is.
#[derive(Clone, Debug, Default)]
pub struct KeptBook {
    pub book: Arc<FeedBook>,
    versions: FeedVersions,
}

impl KeptBook {
    /// What the store has.
    ///
    /// # Errors
    /// When the store fails, or holds what this version cannot read.
    pub async fn read(store: &Store) -> Result<KeptBook, FeedFault> {
        KeptBook::of_parts(store.feed_parts().await?)
    }

    /// What the store has, if that is another book than this one.
    pub(super) async fn read_other(&self, store: &Store) -> Result<Option<KeptBook>, FeedFault> {
        let parts = store.feed_parts().await?;
        let same = parts.len() == self.versions.len()
            && parts.iter().all(|part| self.versions.get(&part.feed) == Some(&part.version));
        if same { Ok(None) } else { KeptBook::of_parts(parts).map(Some) }
    }

    /// The book of these parts.
    ///
    /// # Errors
    /// When a part is no book.
    pub fn of_parts(parts: Vec<FeedPart>) -> Result<KeptBook, FeedFault> {
        let mut versions = FeedVersions::new();
        let mut books = Vec::with_capacity(parts.len());
        for FeedPart { feed, version, book_json } in parts {
            books.push(serde_json::from_str(&book_json).map_err(FeedFault::Unreadable)?);
            versions.insert(feed, version);
        }
        Ok(KeptBook { book: Arc::new(FeedBook::of_parts(books)), versions })
    }

    /// Whether nobody has kept anything yet.
    pub fn is_new(&self) -> bool {
        self.versions.is_empty()
    }

    /// What another book has to be written as.
    pub(super) fn replaced_by(&self, book: FeedBook) -> Replacement {
        let (mut before, after) = (self.book.parts(), book.parts());
        if self.is_new() {
            before.clear();
        }
        let gone = before.keys().filter(|feed| !after.contains_key(*feed)).cloned();
        let gone = gone.map(|feed| (feed, FeedBook::default())).collect::<Vec<_>>();
        let changed = after.into_iter().filter(|(feed, part)| before.get(feed) != Some(part));
        let as_text = |(feed, part): (String, FeedBook)| {
            (feed, serde_json::to_string(&part).expect("a book of texts and figures is JSON"))
        };
        let parts = changed.chain(gone).map(as_text).collect();
        Replacement { known: self.versions.clone(), parts, book: Arc::new(book) }
    }

    /// Keeps another book in its place; false where another gateway was faster, whose book is to be read first, so
    /// that nothing is lost of what that one believed. For whoever has no engine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replace(&self, store: &Store, book: FeedBook) -> Result<bool, FeedFault> {
        Ok(self.replaced_by(book).write(store).await?.is_some())
    }
}

/// A book that is to take another's place.
pub(super) struct Replacement {
    known: FeedVersions,
    parts: Vec<(String, String)>,
    book: Arc<FeedBook>,
}

impl Replacement {
    /// The book as it is kept then; `None` where another gateway was faster.
    pub(super) async fn write(self, store: &Store) -> Result<Option<KeptBook>, FeedFault> {
        let Replacement { known, parts, book } = self;
        let versions = match parts.is_empty() {
            true => Some(known),
            false => store.replace_feed_parts(known, parts).await?,
        };
        Ok(versions.map(|versions| KeptBook { book, versions }))
    }
}

/// What the file of an earlier version says; nothing where there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_file(path: &Path) -> Result<Option<FeedBook>, FeedFault> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FeedFault::File { path: path.to_owned(), source }),
    };
    serde_json::from_str(&text).map(Some).map_err(FeedFault::Unreadable)
}

/// Takes the file of an earlier version into the store, beside what other gateways have brought, and gives it the
/// end `.moved`, so that this is done once.
///
/// # Errors
/// When the store fails. A file that cannot be read is left, with a warning.
pub async fn take_in_file(store: &Store, path: &Path) -> Result<(), FeedFault> {
    let found = match read_file(path) {
        Ok(None) => return Ok(()),
        Ok(Some(found)) => found,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "what feeds told before could not be read");
            return Ok(());
        }
    };
    let mut taken = false;
    for _ in 0..ROUNDS_MAX {
        let kept = KeptBook::read(store).await?;
        let mut book = FeedBook::clone(&kept.book);
        book.take_over(found.clone());
        taken = kept.replace(store, book).await?;
        if taken {
            break;
        }
    }
    if !taken {
        return Err(FeedFault::Busy);
    }
    let moved = path.with_extension("json.moved");
    match std::fs::rename(path, &moved) {
        Ok(()) => tracing::info!(path = %moved.display(), "what feeds told is in the store from now on"),
        // Taking it in once more changes nothing.
        Err(error) => tracing::warn!(%error, path = %path.display(), "a file that is taken in stays"),
    }
    Ok(())
}
