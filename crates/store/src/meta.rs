//! Small named values that the store keeps for others, such as the secret that signs picture addresses.

use rusqlite::{OptionalExtension, params};

use crate::words::statements;
use crate::{Store, StoreError};

statements! {
    META_GET = "SELECT value FROM meta WHERE name = ?1";
    META_INSERT = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
}

impl Store {
    /// The value kept under `name`; if there is none, `value` is kept and returned.
    pub async fn get_or_insert_meta(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let name = name.to_owned();
        self.write(move |writing| {
            let connection = writing.connection;
            let found =
                connection.prepare_cached(META_GET)?.query_row([&name], |row| row.get(0)).optional()?;
            if let Some(found) = found {
                return Ok(found);
            }
            connection.prepare_cached(META_INSERT)?.execute(params![name, value])?;
            Ok(value.clone())
        })
        .await
    }
}
