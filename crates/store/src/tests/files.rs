//! What only SQLite and picture files have.

use gallerist_domain::{Chunks, Grants, OutputFormat, RequestId, Scopes};

use super::support::*;
use crate::*;

fn tiny(request: RequestId, index: u32, expires_at: jiff::Timestamp) -> NewPicture {
    let data = Chunks::from(vec![7u8; 9]);
    NewPicture { request, index, format: OutputFormat::Png, data, expires_at, now: at(0) }
}

#[test]
fn every_statement_prepares() {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, at(0)).unwrap();
    for text in crate::tests::statements() {
        connection.prepare(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}

#[tokio::test]
async fn files_without_a_row_are_deleted_at_the_start_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::new(folder.path(), at(0))).unwrap();
    assert_eq!(store.delete_strays().await.unwrap(), 0, "there is no folder yet");
    let kept = RequestId::generate();
    store.put_picture(tiny(kept, 0, at(100))).await.unwrap();
    let pictures = folder.path().join("pictures");
    let spread = std::fs::read_dir(&pictures).unwrap().next().unwrap().unwrap().path();
    let gone = RequestId::generate();
    let partial = spread.join(format!("{gone}-0.png.17.partial"));
    let rowless = spread.join(format!("{gone}-1.png"));
    let foreign = [spread.join("notes.txt"), pictures.join(format!("{gone}-0.png"))];
    for file in [&partial, &rowless, &foreign[0], &foreign[1]] {
        std::fs::write(file, "x").unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = Store::open(StoreOptions::new(folder.path(), at(0))).unwrap();
    assert_eq!(store.delete_strays().await.unwrap(), 2);
    assert!(!partial.exists() && !rowless.exists());
    assert!(foreign.iter().all(|file| file.exists()), "what is not ours stays");
    assert!(store.picture(kept, 0, at(1)).await.unwrap().is_some());
}

/// A list of more than two words in a check makes the engine build a table in memory at every statement.
#[test]
fn no_statement_of_the_ledger_builds_a_table_in_memory() {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, at(0)).unwrap();
    for text in ledger::statements() {
        let mut statement = connection.prepare(&format!("EXPLAIN {text}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            assert_ne!(row.get_ref(1).unwrap().as_str().unwrap(), "OpenEphemeral", "{text}");
        }
    }
}

/// Requests of nobody that failed, as many blocks of the index of repetitions have them.
fn others(place: &Place, accepted_at: jiff::Timestamp) {
    place.engine.run(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
        INSERT INTO requests (id, project, created_at, finished_at, model, operation, n, status, fingerprint, plan_json)
            SELECT randomblob(16), 1, {at}, {at}, 'auto', 'generate', 1, 'failed', randomblob(32), '' FROM n",
        at = accepted_at.as_microsecond()
    ));
}

#[tokio::test]
async fn a_repetition_is_found_behind_thousands_of_other_requests_and_not_beyond_its_time() {
    let place = place();
    let store = place.open();
    let accepted = async |second: i64| {
        let request = NewRequest { accepted_at: at(second), ..new_request(&project("default"), 7, None) };
        let id = request.id;
        // It may have waited for some minutes.
        let reservation = first(request, vec![attempt(1, "openai", 10)]);
        store.reserve(Reservation { now: at(second + 200), ..reservation }).await.unwrap();
        id
    };
    let key_id = || payer(&project("default")).key_id.clone();
    let find = |since| store.repeatable(project("default"), key_id(), [7; 32], at(since));
    let old = accepted(10).await;
    others(&place, at(20));
    assert_eq!(find(0).await.unwrap(), Some(old));
    others(&place, at(9_000));
    // Written behind what was accepted later, as one that waited is.
    let waited = accepted(8_950).await;
    others(&place, at(9_050));
    assert_eq!(find(8_900).await.unwrap(), Some(waited));
    assert_eq!(find(9_000).await.unwrap(), None, "it was accepted before");
    assert_eq!(find(11).await.unwrap(), None, "the one is too old and the other too young");
}

#[cfg(unix)]
#[tokio::test]
async fn pictures_are_their_owners_also_in_a_folder_that_is_open_and_may_be_written_twice_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = Store::open(StoreOptions::new(folder.path(), at(0))).unwrap();
    let request = RequestId::generate();
    let picture = NewPicture {
        request,
        index: 0,
        format: OutputFormat::Png,
        data: Chunks::from(vec![7u8; 300_000]),
        expires_at: at(100),
        now: at(0),
    };
    let twice = tokio::join!(store.put_picture(picture.clone()), store.put_picture(picture));
    assert!(twice.0.is_ok() && twice.1.is_ok(), "{twice:?}");
    let kept = store.picture(request, 0, at(1)).await.unwrap().expect("it is kept");
    assert_eq!(kept.data.len(), 300_000);
    let mut files = 0;
    let spread = std::fs::read_dir(folder.path().join("pictures")).unwrap().next().unwrap().unwrap();
    assert_eq!(spread.metadata().unwrap().permissions().mode() & 0o077, 0);
    for file in std::fs::read_dir(spread.path()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        files += 1;
    }
    assert_eq!(files, 1, "nothing half written stays");
}

#[tokio::test]
async fn one_file_that_cannot_be_deleted_does_not_keep_the_others() {
    let store = store();
    let (stuck, other) = (RequestId::generate(), RequestId::generate());
    store.put_picture(tiny(stuck, 0, at(10))).await.unwrap();
    store.put_picture(tiny(other, 0, at(20))).await.unwrap();
    let path = |id: RequestId| {
        let id = id.to_string();
        store.data_dir().join("pictures").join(&id[id.len() - 2..]).join(format!("{id}-0.png"))
    };
    // A folder cannot be removed as a file, whoever runs the test.
    std::fs::remove_file(path(stuck)).unwrap();
    std::fs::create_dir(path(stuck)).unwrap();
    let swept = store.sweep(at(30)).await.unwrap();
    assert_eq!(swept.pictures, 2);
    assert!(path(stuck).exists() && !path(other).exists());
}

#[test]
fn a_store_of_the_first_schema_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let path = crate::sqlite::database_path(dir.path());
    {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("../schema/0001_first.sql")).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
    }
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    assert!(!schema::migrate(&mut connection, at(0)).unwrap());
    let lots: i64 = connection.query_row("SELECT count(*) FROM credit_lots", [], |row| row.get(0)).unwrap();
    assert_eq!(lots, 0);
}

#[tokio::test]
async fn keys_from_before_scopes_keep_what_their_role_stood_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path()).unwrap();
    {
        let connection = rusqlite::Connection::open(crate::sqlite::database_path(dir.path())).unwrap();
        for text in [
            include_str!("../schema/0001_first.sql"),
            include_str!("../schema/0002_credits.sql"),
            include_str!("../schema/0003_asked.sql"),
            include_str!("../schema/0004_budgets.sql"),
        ] {
            connection.execute_batch(text).unwrap();
        }
        connection
            .execute_batch(
                "INSERT INTO accounts (number, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
                INSERT INTO projects (number, name, created_at, available_account, held_account, disputed_account)
                    VALUES (1, 'default', 0, 1, 2, 3);
                INSERT INTO keys (id, project, name, role, sha256, prefix, created_at)
                    VALUES ('a', 1, '', 'generate', zeroblob(32), 'gal-a', 0),
                        ('b', 1, '', 'admin', randomblob(32), 'gal-b', 0);",
            )
            .unwrap();
        connection.pragma_update(None, "user_version", 4).unwrap();
    }
    let store = Store::open(StoreOptions::new(dir.path(), at(0))).unwrap();
    assert_eq!(store.key_by_digest(&[0; 32], at(1)).unwrap().scopes, Scopes::USUAL);
    let keys = store.list_keys().await.unwrap();
    assert_eq!((keys[1].scopes, &keys[1].allowance.grants), (Scopes::ADMIN, Grants::ALL));
}
