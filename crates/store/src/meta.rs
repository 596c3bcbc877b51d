//! Small named values that the store keeps for others, such as the secret that signs picture addresses.

use crate::sql::params;
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
            let found = connection.query_opt(META_GET, params![&name], |row| row.get(0))?;
            if let Some(found) = found {
                return Ok(found);
            }
            connection.change_one(META_INSERT, params![name, value])?;
            Ok(value.clone())
        })
        .await
    }
}
