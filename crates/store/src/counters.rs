//! Counters that gateways share on a Redis or Valkey server: short scripts, each answered within a strict time
//! or not at all.
//!
//! Nothing in it must survive, and nothing waits for it: who is told [`CountersAway`] decides by itself. When
//! one was late, a task asks whether the server is there at all; while it is not, none is sent, until the task
//! has reached it again. So an outage costs the requests that meet it one time limit, and those after it nothing.
//! What replicas tell each other beside ([`Counters::tell`]) is no request's concern. What the scripts compute
//! stands with their callers; `url.rs` says where the server is.

mod url;

pub use url::CountersUrl;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// For one script, its way there and back included.
pub const ANSWER: Duration = Duration::from_millis(50);
/// For any answer, after a script was late.
const SILENCE: Duration = Duration::from_millis(200);
/// Pause between two looks at a server that is well.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// For one attempt to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Of an error of the server.
const TOLD_CHARACTERS_MAX: usize = 200;
/// Writes by a script, as all the others do.
const PROBE: &str = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)";
const PROBE_KEY: &str = "gallerist:probe";
/// Pause before the first new attempt to connect; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A script that changes its keys in one step. It is sent whole once, and by its digest from then on.
pub struct Script(redis::Script);

impl Script {
    pub fn new(text: &str) -> Script {
        Script(redis::Script::new(text))
    }
}

/// The server gave no answer in time; whether the script has run is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Redis server does not answer in time")]
pub struct CountersAway;

/// Why there is nothing of what replicas tell each other.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    #[error(transparent)]
    Away(#[from] CountersAway),
    /// The server is there, but what the script found, or may do, is not what it should be.
    #[error("the Redis server answers otherwise than expected: {0}")]
    Otherwise(String),
}

/// How the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountersState {
    /// Whether it answered when it was last asked.
    pub is_up: bool,
    /// For how long it has been so.
    pub since: Instant,
}

/// The shared counters; clones share one connection, and the last one ends it.
#[derive(Clone)]
pub struct Counters {
    inner: Arc<Inner>,
    /// Ends the task that connects.
    _connecting: Arc<Ended>,
}

struct Inner {
    url: CountersUrl,
    /// For one script.
    answer: Duration,
    link: Mutex<Link>,
    /// Wakes the task that looks after the connection.
    news: Notify,
    losses: AtomicU64,
}

struct Link {
    connection: Option<MultiplexedConnection>,
    since: Instant,
    /// Whether a script was late and none has been in time since.
    doubted: bool,
}

impl Link {
    fn of(connection: Option<MultiplexedConnection>) -> Link {
        Link { connection, since: Instant::now(), doubted: false }
    }
}

struct Ended(AbortHandle);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Counters {
    /// Connects, or says that it does not succeed and goes on trying in the background: a server that is away
    /// keeps no gateway from starting. Must run inside tokio.
    pub async fn open(url: CountersUrl) -> Counters {
        Counters::open_within(url, ANSWER).await
    }

    /// As [`Counters::open`], with another limit than [`ANSWER`] for one script.
    pub async fn open_within(url: CountersUrl, answer: Duration) -> Counters {
        let connection = connect(&url, answer).await;
        if let Err(error) = &connection {
            told_lost(&url, error);
        }
        let link = Link::of(connection.ok());
        let losses = AtomicU64::new(u64::from(link.connection.is_none()));
        let inner = Arc::new(Inner { url, answer, link: Mutex::new(link), news: Notify::new(), losses });
        let task = tokio::spawn(keep_connected(Arc::clone(&inner)));
        Counters { inner, _connecting: Arc::new(Ended(task.abort_handle())) }
    }

    pub fn url(&self) -> &CountersUrl {
        &self.inner.url
    }

    pub fn state(&self) -> CountersState {
        self.inner.state()
    }

    /// How often the server was lost since this was opened, or not there.
    pub fn losses(&self) -> u64 {
        self.inner.losses.load(Ordering::Relaxed)
    }

    /// Runs a script that answers whole numbers.
    ///
    /// # Errors
    /// [`CountersAway`], after at most [`ANSWER`]; at once while the server is known to be away.
    pub async fn run(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[i64],
    ) -> Result<Vec<i64>, CountersAway> {
        let (since, mut connection) = self.inner.connection().ok_or(CountersAway)?;
        let mut invocation = script.0.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(*argument);
        }
        match timeout(self.inner.answer, invocation.invoke_async::<Vec<i64>>(&mut connection)).await {
            Ok(Ok(numbers)) => {
                self.inner.lock().doubted = false;
                return Ok(numbers);
            }
            Ok(Err(error)) => self.inner.lose(since, &error),
            Err(_) => self.inner.doubt(since),
        }
        Err(CountersAway)
    }
}

impl Counters {
    /// Runs a script that answers the server's time in milliseconds since 1970 and a text, for which nobody
    /// waits: it may take longer than one that counts.
    ///
    /// # Errors
    /// [`NotHeard`], after at most `within`; at once while the server is known to be away.
    pub async fn tell(
        &self,
        script: &Script,
        key: &str,
        arguments: &[String],
        within: Duration,
    ) -> Result<(i64, Vec<u8>), NotHeard> {
        let (since, mut connection) = self.inner.connection().ok_or(CountersAway)?;
        let mut invocation = script.0.prepare_invoke();
        invocation.key(key).arg(arguments);
        match timeout(within, invocation.invoke_async::<(i64, Vec<u8>)>(&mut connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            // What one script stumbles over says nothing against the others, which count.
            Ok(Err(error)) if !error.is_io_error() && !error.is_unrecoverable_error() => {
                let told = error.to_string().chars().take(TOLD_CHARACTERS_MAX).collect();
                return Err(NotHeard::Otherwise(told));
            }
            Ok(Err(error)) => self.inner.lose(since, &error),
            Err(_) => self.inner.doubt(since),
        }
        Err(NotHeard::Away(CountersAway))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> CountersState {
        let link = self.lock();
        CountersState { is_up: link.connection.is_some(), since: link.since }
    }

    /// The connection, and since when it is there, which tells it from those before and after it.
    fn connection(&self) -> Option<(Instant, MultiplexedConnection)> {
        let link = self.lock();
        Some((link.since, link.connection.clone()?))
    }

    /// A script was late: perhaps the server hangs, perhaps it stood far behind in a rush.
    fn doubt(&self, since: Instant) {
        let mut link = self.lock();
        if link.since == since && link.connection.is_some() && !link.doubted {
            link.doubted = true;
            self.news.notify_one();
        }
    }

    /// Many may notice the same loss; the first one tells it.
    fn lose(&self, since: Instant, error: &RedisError) {
        let mut link = self.lock();
        if link.since == since && link.connection.take().is_some() {
            link.since = Instant::now();
            self.losses.fetch_add(1, Ordering::Relaxed);
            told_lost(&self.url, error);
            self.news.notify_one();
        }
    }

    /// Loses a doubted connection unless what is under way ends soon and a script is in time then.
    async fn resolve(&self, since: Instant, mut connection: MultiplexedConnection) {
        let drained = async {
            let question = redis::cmd("TIME");
            timeout(SILENCE.max(self.answer), question.query_async::<Value>(&mut connection))
                .await
                .map_err(late)??;
            probe(&mut connection, self.answer).await
        };
        match drained.await {
            Ok(()) => self.lock().doubted = false,
            Err(error) => self.lose(since, &error),
        }
    }

    fn find(&self, connection: MultiplexedConnection) {
        let mut link = self.lock();
        *link = Link::of(Some(connection));
        tracing::warn!(server = %self.url, "Redis answers again: what replicas share is counted together");
    }
}

fn told_lost(url: &CountersUrl, error: &RedisError) {
    let so = "each replica counts its own share, and finds out itself which offers rest";
    tracing::warn!(%error, server = %url, "Redis does not answer: {so}");
}

async fn keep_connected(inner: Arc<Inner>) {
    let mut pause = PAUSE_MIN;
    loop {
        if let Some((since, connection)) = inner.connection() {
            // Also where nobody asks, so that the state is that of the server.
            let _ = timeout(ASKED_EVERY, inner.news.notified()).await;
            inner.resolve(since, connection).await;
            // One that is lost again and again is not asked ten times a second.
            if since.elapsed() > PAUSE_MAX {
                pause = PAUSE_MIN;
            }
            continue;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        match connect(&inner.url, inner.answer).await {
            Ok(connection) => inner.find(connection),
            Err(error) => tracing::debug!(%error, server = %inner.url, "Redis still does not answer"),
        }
    }
}

/// A connection to a server that does in time what the scripts need: a replica, a full server or one that is far
/// away would be lost again with the first of them.
async fn connect(url: &CountersUrl, answer: Duration) -> RedisResult<MultiplexedConnection> {
    // The limit for a script is kept where it is run.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let client = Client::open(url.connection())?;
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = timeout(CONNECT, connecting).await.map_err(late)??;
    probe(&mut connection, answer).await?;
    Ok(connection)
}

async fn probe(connection: &mut MultiplexedConnection, answer: Duration) -> RedisResult<()> {
    let mut script = redis::cmd("EVAL");
    script.arg(PROBE).arg(1).arg(PROBE_KEY);
    timeout(answer, script.query_async::<()>(connection)).await.map_err(late)?
}

fn late(_: Elapsed) -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}
