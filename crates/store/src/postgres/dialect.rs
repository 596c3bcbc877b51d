//! Statements of the rules in PostgreSQL's dialect: a mechanical rewriting, done once a statement.
//!
//! The rules keep to what both dialects understand. What is left: places for values are `$1`; SQLite's hints
//! about indexes and page undo go; comments ask for row locks, for what this replica looks after, and for what is
//! open (of attempts `a` and of requests `r`: their row numbers as an array, so that rows are always found by their
//! keys, whatever the planner takes those small tables for); bytes in hexadecimal and the day of an
//! instant have other names.

/// `text` as PostgreSQL reads it.
pub(super) fn postgres(text: &str) -> String {
    let text = text
        .replace('?', "$")
        .replace("INSERT OR FAIL", "INSERT")
        .replace("CROSS JOIN", "JOIN")
        .replace("/* FOR UPDATE */", "FOR UPDATE");
    let text = typed(&without_hints(&text));
    let text = call(&text, "/* MINE ", " */", |table| {
        format!("AND {table}.replica = current_setting('gallerist.replica')::BIGINT")
    });
    let text = call(&text, "/* OPEN ", " */", |table| match table {
        "r" => "AND r.number = ANY (ARRAY(SELECT request FROM running_requests))".to_owned(),
        attempts => format!("AND {attempts}.row = ANY (ARRAY(SELECT attempt FROM open_attempts))"),
    });
    let text = call(&text, "hex(", ")", |inner| format!("encode({inner}, 'hex')"));
    call(&text, "strftime('%Y-%m-%d', ", " / 1000000, 'unixepoch')", |inner| {
        format!("to_char(to_timestamp({inner} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')")
    })
}

/// The insertion of one row with its number as the last value, and the sequence of that number.
pub(super) fn numbered(text: &str, values: usize) -> (String, String) {
    let text = postgres(text);
    let rest = text.strip_prefix("INSERT INTO ").expect("an insertion begins so");
    let (table, rest) = rest.split_once(" (").expect("an insertion names its columns");
    let (columns, rest) = rest.split_once(')').expect("the columns end");
    let (_, rest) = rest.split_once("VALUES (").expect("one row of values follows");
    // The only table whose number has another name.
    let column = if table == "attempts" { "row" } else { "number" };
    let place = values + 1;
    (format!("INSERT INTO {table} ({column}, {columns}) VALUES (${place}, {rest}"), format!("{table}_number"))
}

/// A value that is asked whether it is there says nothing about its type. A bare one is a text; a statement that
/// asks so for a number says `CAST(?1 AS BIGINT) IS NULL`, which both dialects read.
fn typed(text: &str) -> String {
    const ASKED: &str = " IS NULL";
    let mut parts = text.split(ASKED).peekable();
    let mut whole = String::with_capacity(text.len());
    while let Some(part) = parts.next() {
        whole.push_str(part);
        if parts.peek().is_some() {
            let digits = part.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_value = digits.len() < part.len() && digits.ends_with('$');
            whole.push_str(if is_value { "::TEXT IS NULL" } else { ASKED });
        }
    }
    whole
}

/// Takes `INDEXED BY name` away.
fn without_hints(text: &str) -> String {
    const HINT: &str = " INDEXED BY ";
    let mut parts = text.split(HINT);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        plain.push_str(&part[name..]);
    }
    plain
}

/// Rewrites what stands between `open` and the next `close`, wherever that is found.
fn call(text: &str, open: &str, close: &str, rewrite: impl Fn(&str) -> String) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        let (inner, after) = after.split_once(close).expect("what opens is closed");
        rewritten.push_str(before);
        rewritten.push_str(&rewrite(inner));
        rest = after;
    }
    rewritten.push_str(rest);
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_sqlite_says_is_said_as_postgresql_says_it() {
        assert_eq!(
            postgres(
                "SELECT hex(t.id) FROM t INDEXED BY t_open CROSS JOIN u ON u.a = t.b WHERE t.c = ?1 /* FOR UPDATE */"
            ),
            "SELECT encode(t.id, 'hex') FROM t JOIN u ON u.a = t.b WHERE t.c = $1 FOR UPDATE"
        );
        assert_eq!(
            postgres("strftime('%Y-%m-%d', r.created_at / 1000000, 'unixepoch')"),
            "to_char(to_timestamp(r.created_at / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        );
    }

    #[test]
    fn a_value_that_is_only_asked_whether_it_is_there_has_a_type() {
        assert_eq!(
            postgres("CASE WHEN ?13 IS NULL AND a IS NULL THEN b END"),
            "CASE WHEN $13::TEXT IS NULL AND a IS NULL THEN b END"
        );
    }

    #[test]
    fn an_insertion_brings_its_number_as_the_last_value() {
        let (text, sequence) = numbered("INSERT INTO attempts (id, n) VALUES (?1, ?2)", 2);
        assert_eq!(text, "INSERT INTO attempts (row, id, n) VALUES ($3, $1, $2)");
        assert_eq!(sequence, "attempts_number");
    }
}
