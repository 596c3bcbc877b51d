//! Pictures: written whole or not at all, found by request and index, deleted when they expire. With PostgreSQL
//! they lie in the database (`postgres/pictures.rs`); what follows is about files.
//!
//! A file lies under `pictures/<last two hex digits of the request>/<request>-<index>.<ext>`. It is written
//! beside its place, synced and renamed, and only then its row is committed. A crash between leaves a file
//! without a row, which [`Store::delete_strays`] takes away at the next start. Only their owner can read them.

use bytes::Bytes;
use gallerist_domain::{Chunks, OutputFormat, RequestId};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sql::params;
use crate::sqlite::make_private_dir;
use crate::words::{self, micros, statements};
use crate::{Readers, Store, StoreError, postgres};

/// Expired pictures that one sweep deletes at most.
pub const SWEEP_MAX: u32 = 1_000;
/// Length of the id that begins the name of a file.
const UUID_CHARACTERS: usize = 36;

/// A picture to keep.
#[derive(Clone, Debug)]
pub struct NewPicture {
    pub request: RequestId,
    /// Counts from 0 within the request. An earlier picture of this index is replaced; what it was promised
    /// to live stays promised.
    pub index: u32,
    pub format: OutputFormat,
    /// The file, as it came.
    pub data: Chunks,
    pub expires_at: Timestamp,
    pub now: Timestamp,
}

/// A kept picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub format: OutputFormat,
    pub data: Bytes,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub pictures: u32,
    pub bytes: u64,
    pub idempotency_keys: u32,
    /// Whether more pictures have expired than one sweep deletes.
    pub has_more: bool,
}

statements! {
    PICTURE_PUT = "INSERT INTO pictures (request, position, format, bytes, path, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (request, position) DO UPDATE SET format = excluded.format, bytes = excluded.bytes,
            path = excluded.path, created_at = excluded.created_at,
            expires_at = CASE WHEN pictures.expires_at > excluded.expires_at
                THEN pictures.expires_at ELSE excluded.expires_at END";
    PICTURE = "SELECT format, path, created_at, expires_at FROM pictures
        WHERE request = ?1 AND position = ?2 AND expires_at > ?3";
    PICTURE_EXPIRIES = "SELECT expires_at FROM pictures WHERE request = ?1 ORDER BY position";
    PICTURE_PATHS = "SELECT path FROM pictures";
    PICTURE_COUNT = "SELECT count(*) FROM pictures WHERE request = ?1 AND expires_at > ?2";
    PICTURES_SWEEP = "DELETE FROM pictures WHERE (request, position) IN
        (SELECT request, position FROM pictures WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
        RETURNING path, bytes";
    IDEMPOTENCY_SWEEP = "DELETE FROM idempotency WHERE created_at <= ?1";
}

impl Store {
    /// Keeps a picture; when this returns, file and row are on disk.
    pub async fn put_picture(&self, picture: NewPicture) -> Result<(), StoreError> {
        if let Readers::Postgres(sessions) = &self.inner.readers {
            return sessions.write(move |sql| postgres::pictures::put(sql, &picture)).await;
        }
        let path = relative_path(picture.request, picture.index, picture.format);
        let target = self.inner.data_dir.join(&path);
        let NewPicture { request, index, format, data, expires_at, now } = picture;
        let length = i64::try_from(data.len()).expect("a picture fits in memory");
        self.inner.lane.write_file(move || write_whole(&target, &data)).await?;
        self.write(move |writing| {
            writing.connection.change(
                PICTURE_PUT,
                params![
                    request.uuid().as_bytes(),
                    index,
                    format.as_str(),
                    length,
                    path,
                    micros(now),
                    micros(expires_at)
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// The picture, unless there is none or it has expired at `now`.
    pub async fn picture(
        &self,
        request: RequestId,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<Picture>, StoreError> {
        if let Readers::Postgres(_) = &self.inner.readers {
            return self.read(move |sql| postgres::pictures::get(sql, request, index, now)).await;
        }
        let data_dir = self.inner.data_dir.clone();
        self.read(move |connection| {
            let found = connection.query_opt(
                PICTURE,
                params![request.uuid().as_bytes(), index, micros(now)],
                |row| {
                    let path: String = row.get(1)?;
                    Ok((words::format(row, 0)?, path, words::timestamp(row, 2)?, words::timestamp(row, 3)?))
                },
            )?;
            let Some((format, path, created_at, expires_at)) = found else { return Ok(None) };
            let path = data_dir.join(path);
            match fs::read(&path) {
                Ok(data) => Ok(Some(Picture { format, data: data.into(), created_at, expires_at })),
                // A sweep came between.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StoreError::file(path, error)),
            }
        })
        .await
    }

    /// When each picture of the request expires, in their order.
    pub async fn picture_expiries(&self, request: RequestId) -> Result<Vec<Timestamp>, StoreError> {
        self.read(move |connection| {
            connection.query_all(PICTURE_EXPIRIES, params![request.uuid().as_bytes()], |row| {
                words::timestamp(row, 0)
            })
        })
        .await
    }

    /// How many pictures of the request are kept at `now`.
    pub async fn picture_count(&self, request: RequestId, now: Timestamp) -> Result<u32, StoreError> {
        self.read(move |connection| {
            connection
                .query_row(PICTURE_COUNT, params![request.uuid().as_bytes(), micros(now)], |row| row.get(0))
        })
        .await
    }

    /// Deletes pictures (at most [`SWEEP_MAX`]) and idempotency keys that have expired at `now`.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError> {
        let in_database = match &self.inner.readers {
            Readers::Sqlite(_) => None,
            Readers::Postgres(sessions) => {
                Some(sessions.write(move |sql| postgres::pictures::sweep(sql, now)).await?)
            }
        };
        let (paths, mut swept) = self
            .write(move |writing| {
                let connection = writing.connection;
                let floor = crate::requests::idempotency_floor(now);
                let keys = connection.execute(IDEMPOTENCY_SWEEP, params![floor])?;
                let idempotency_keys = u32::try_from(keys).unwrap_or(u32::MAX);
                if let Some(swept) = in_database {
                    return Ok((Vec::new(), Swept { idempotency_keys, ..swept }));
                }
                let rows: Vec<_> =
                    connection.query_all(PICTURES_SWEEP, params![micros(now), SWEEP_MAX], |row| {
                        Ok((row.get::<String>(0)?, row.get::<i64>(1)?))
                    })?;
                let mut swept = Swept { idempotency_keys, ..Swept::default() };
                let mut paths = Vec::new();
                for (path, bytes) in rows {
                    paths.push(path);
                    swept.pictures += 1;
                    swept.bytes += u64::try_from(bytes).unwrap_or(0);
                }
                Ok((paths, swept))
            })
            .await?;
        swept.has_more = swept.pictures == SWEEP_MAX;
        let data_dir = self.inner.data_dir.clone();
        let deleting = move || {
            for path in paths {
                let path = data_dir.join(path);
                // The rows are gone, so nothing asks for these files again: one that stays must not keep the
                // others. The next start deletes it.
                if let Err(error) = remove(&path) {
                    tracing::warn!(%error, path = %path.display(), "an expired picture could not be deleted");
                }
            }
            Ok(())
        };
        self.inner.lane.run(deleting).await?;
        Ok(swept)
    }

    /// Deletes the files that no row knows: what a crash left half written or without its row. Only for the
    /// start, before any picture is kept: a picture that is just being kept has no row yet either.
    ///
    /// Returns how many there were.
    pub async fn delete_strays(&self) -> Result<u32, StoreError> {
        if let Readers::Postgres(_) = &self.inner.readers {
            return Ok(0);
        }
        let folder = self.inner.data_dir.join("pictures");
        let known: HashSet<PathBuf> = {
            let data_dir = self.inner.data_dir.clone();
            self.read(move |connection| {
                connection.query_all(PICTURE_PATHS, params![], |row| Ok(data_dir.join(row.get::<&str>(0)?)))
            })
            .await?
        };
        let deleting = move || {
            let mut deleted = 0;
            for path in picture_files(&folder).map_err(|error| StoreError::file(&folder, error))? {
                if known.contains(&path) {
                    continue;
                }
                match remove(&path) {
                    Ok(()) => deleted += 1,
                    Err(error) => {
                        tracing::warn!(%error, path = %path.display(), "a stray picture could not be deleted");
                    }
                }
            }
            Ok(deleted)
        };
        self.inner.lane.run(deleting).await
    }
}

/// Every file two levels below `pictures` that bears the name of a picture; none when there is no folder.
fn picture_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = |folder: &Path| match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut files = Vec::new();
    for spread in entries(folder)? {
        if !spread.file_type()?.is_dir() {
            continue;
        }
        for file in entries(&spread.path())? {
            // Whatever else somebody has put here is not ours to delete.
            let ours = file
                .file_name()
                .to_str()
                .and_then(|name| name.get(..UUID_CHARACTERS))
                .is_some_and(|start| start.parse::<RequestId>().is_ok());
            if ours && file.file_type()?.is_file() {
                files.push(file.path());
            }
        }
    }
    Ok(files)
}

/// Removes a file; one that is gone already is fine.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The last digits of a UUIDv7 are random, the first ones are its time: only the last ones spread.
fn relative_path(request: RequestId, index: u32, format: OutputFormat) -> String {
    let id = request.to_string();
    let spread = &id[id.len() - 2..];
    format!("pictures/{spread}/{id}-{index}.{}", format.as_str())
}

/// Counts the writes of this process.
static WRITES: AtomicU64 = AtomicU64::new(0);

fn write_whole(target: &Path, data: &Chunks) -> Result<(), StoreError> {
    let folder = target.parent().expect("a picture lies in a folder");
    // The data directory may be open to others; pictures are their owner's.
    make_private_dir(folder).map_err(|error| StoreError::file(folder, error))?;
    // Two may write the same picture at once: each its own file.
    let mut partial: PathBuf = target.to_owned();
    partial.as_mut_os_string().push(format!(".{}.partial", WRITES.fetch_add(1, Ordering::Relaxed)));
    if let Err(error) = write_partial(&partial, data) {
        // A disk that is full must not stay so for the rests of what did not fit.
        let _ = fs::remove_file(&partial);
        return Err(StoreError::file(partial, error));
    }
    fs::rename(&partial, target).map_err(|error| StoreError::file(target, error))?;
    // The name is durable when its folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::file(folder, error))
}

fn write_partial(path: &Path, data: &Chunks) -> std::io::Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    let mut slices: Vec<IoSlice<'_>> = data.parts().iter().map(|part| IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        let written = file.write_vectored(left)?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    file.sync_all()
}
