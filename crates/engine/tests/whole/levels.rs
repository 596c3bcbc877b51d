//! The highest level of every cap, seen by the database itself at every commit.
//!
//! A constraint trigger that is deferred to the commit reads each counter that the transaction has changed, as it
//! leaves it, and keeps the highest sum. Nothing that any replica commits passes it unseen. What a provider charged
//! beyond its own maximum is taken off: that is the one thing that may pass a cap, and is told as an overrun.

use std::path::{Path, PathBuf};
use std::process::Command;

const WATCH: &str = "
    CREATE TABLE test_levels (
        name TEXT PRIMARY KEY, highest BIGINT NOT NULL, limit_amount BIGINT NOT NULL, looks BIGINT NOT NULL
    );
    CREATE INDEX test_overruns_of_counters ON attempt_counters (counter) WHERE settled > held;
    CREATE INDEX test_overruns ON attempts (request) WHERE charged_ticks > reserved_ticks;
    CREATE FUNCTION test_keep(name TEXT, level BIGINT, limit_amount BIGINT) RETURNS void AS $$
        INSERT INTO test_levels VALUES (name, level, limit_amount, 1) ON CONFLICT (name) DO UPDATE
            SET highest = greatest(test_levels.highest, excluded.highest), looks = test_levels.looks + 1
    $$ LANGUAGE sql;
    CREATE FUNCTION test_look_at_counter() RETURNS trigger AS $$ BEGIN
        PERFORM test_keep('budget ' || b.number || ' ' || c.subject, c.settled + c.held + c.disputed - coalesce((
                SELECT sum(s.settled - s.held) FROM attempt_counters s
                WHERE s.counter = c.number AND s.settled > s.held), 0)::BIGINT, b.limit_amount)
            FROM budget_counters c JOIN budgets b ON b.number = c.budget WHERE c.number = NEW.number;
        RETURN NULL;
    END $$ LANGUAGE plpgsql;
    CREATE FUNCTION test_look_at_project() RETURNS trigger AS $$ BEGIN
        PERFORM test_keep('project ' || p.name, p.settled + p.held + p.disputed - coalesce((
                SELECT sum(a.charged_ticks - a.reserved_ticks) FROM attempts a JOIN requests r ON r.number = a.request
                WHERE r.project = p.number AND a.charged_ticks > a.reserved_ticks), 0)::BIGINT, p.cap)
            FROM projects p WHERE p.number = NEW.number AND p.cap IS NOT NULL;
        RETURN NULL;
    END $$ LANGUAGE plpgsql;
    CREATE CONSTRAINT TRIGGER test_counters AFTER INSERT OR UPDATE ON budget_counters
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_look_at_counter();
    CREATE CONSTRAINT TRIGGER test_projects AFTER INSERT OR UPDATE ON projects
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_look_at_project();";

const HIGHEST: &str = "SELECT name, highest, limit_amount, looks FROM test_levels ORDER BY highest::float8
    / greatest(limit_amount, 1) DESC, name";

/// The triggers of a database.
pub struct Levels {
    psql: PathBuf,
    url: String,
}

/// What one cap came to.
#[derive(Debug)]
pub struct Level {
    #[allow(dead_code, reason = "one of two users of this file only shows it as a whole")]
    pub name: String,
    /// Settled, held and disputed without what was charged beyond a maximum; ticks or pictures.
    pub highest: i64,
    pub limit: i64,
    /// Times that it was looked at.
    pub looks: i64,
}

impl Levels {
    /// Sets the triggers, in a database that has its tables.
    pub fn watch(psql: &Path, url: &str) -> Levels {
        let levels = Levels { psql: psql.to_owned(), url: url.to_owned() };
        levels.run(WATCH);
        levels
    }

    /// Of every cap, the fullest first.
    pub fn highest(&self) -> Vec<Level> {
        let read = |line: &str| {
            let columns: Vec<&str> = line.split('|').collect();
            let [name, highest, limit, looks] = columns[..] else { panic!("{line}") };
            let number = |text: &str| text.parse().expect("a column of numbers");
            let (highest, limit) = (number(highest), number(limit));
            Level { name: name.to_owned(), highest, limit, looks: number(looks) }
        };
        self.run(HIGHEST).lines().map(read).collect()
    }

    fn run(&self, statement: &str) -> String {
        let mut command = Command::new(&self.psql);
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        let done = command.args(["--set", "ON_ERROR_STOP=1", "--command", statement, &self.url]).output();
        let done = done.expect("psql belongs to PostgreSQL");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("names are text")
    }
}
