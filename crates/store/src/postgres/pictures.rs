//! Pictures in the database itself, where each replica finds them. They touch no money, so they are written
//! beside the writer and hold up no commit.

use gallerist_domain::{OutputFormat, RequestId};
use jiff::Timestamp;

use crate::StoreError;
use crate::pictures::{NewPicture, Picture, SWEEP_MAX, Swept};
use crate::sql::{Sql, params};
use crate::words::{self, micros};

const PUT: &str = "INSERT INTO pictures (request, position, format, bytes, data, created_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (request, position) DO UPDATE SET format = excluded.format, bytes = excluded.bytes,
        data = excluded.data, created_at = excluded.created_at,
        expires_at = greatest(pictures.expires_at, excluded.expires_at)";
const GET: &str = "SELECT format, data, created_at, expires_at FROM pictures
    WHERE request = ?1 AND position = ?2 AND expires_at > ?3";
const SWEEP: &str = "DELETE FROM pictures WHERE (request, position) IN
    (SELECT request, position FROM pictures WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
        FOR UPDATE SKIP LOCKED)
    RETURNING bytes";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[PUT, GET, SWEEP];

pub(crate) fn put(sql: &dyn Sql, picture: &NewPicture) -> Result<(), StoreError> {
    let NewPicture { request, index, format, data, expires_at, now } = picture;
    let bytes: Vec<u8> = data.parts().concat();
    let length = i64::try_from(bytes.len()).expect("a picture fits in memory");
    sql.execute(
        PUT,
        params![
            request.uuid().as_bytes(),
            index,
            format.as_str(),
            length,
            bytes,
            micros(*now),
            micros(*expires_at)
        ],
    )?;
    Ok(())
}

pub(crate) fn get(
    sql: &dyn Sql,
    request: RequestId,
    index: u32,
    now: Timestamp,
) -> Result<Option<Picture>, StoreError> {
    sql.query_opt(GET, params![request.uuid().as_bytes(), index, micros(now)], |row| {
        let format: OutputFormat = words::format(row, 0)?;
        let data: Vec<u8> = row.get(1)?;
        Ok(Picture {
            format,
            data: data.into(),
            created_at: words::timestamp(row, 2)?,
            expires_at: words::timestamp(row, 3)?,
        })
    })
}

/// Deletes what has expired, at most [`SWEEP_MAX`]; replicas that sweep at once take different pictures.
pub(crate) fn sweep(sql: &dyn Sql, now: Timestamp) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let lengths: Vec<i64> = sql.query_all(SWEEP, params![micros(now), SWEEP_MAX], |row| row.get(0))?;
    for length in lengths {
        swept.pictures += 1;
        swept.bytes += u64::try_from(length).unwrap_or(0);
    }
    Ok(swept)
}
