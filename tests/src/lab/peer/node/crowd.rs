//! Many connections of one process to one server. Each sends so many bytes, a number of them at the
//! same time; then all stay open and idle until the process is killed.

use super::{connect, endpoint, home};
use core::time::Duration;
use ropewalk::bench::bulk;
use ropewalk::connection::Connection;
use ropewalk::endpoint::Endpoint;
use ropewalk::ticket::Ticket;
use ropewalk_core::id::Mode;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// How many, and how many at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Connections in all.
    pub(super) count: u64,
    /// So many dial at the same time.
    pub(super) dials: u64,
    /// So many send at the same time.
    pub(super) at_once: u64,
    /// Bytes that each sends.
    pub(super) bytes: u64,
}

/// Makes the connections, sends, says how it went, and waits.
pub(super) async fn all(ticket: &str, plan: Plan) -> io::Result<()> {
    let ticket: Ticket = ticket.parse().map_err(io::Error::other)?;
    let endpoint = Arc::new(endpoint(&home()?, Mode::Bulk, None).await?);
    // Kept open to the end.
    let (mut idle, mut seen) = (Vec::new(), Seen::default());
    for group in groups(plan.count, plan.at_once) {
        let before = idle.len();
        let begin = Instant::now();
        for dials in groups(group, plan.dials) {
            idle.extend(dial(&endpoint, &ticket, dials, &mut seen).await);
        }
        seen.connecting += begin.elapsed().as_secs_f64();
        send(idle.get(before..).unwrap_or_default(), plan.bytes, &mut seen).await;
    }
    println!("{}", seen.line());
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        look.tick().await;
        let mut lost = 0;
        for connection in &idle {
            // Looks once, and does not wait.
            let over = tokio::time::timeout(Duration::ZERO, connection.closed()).await;
            lost += u32::from(over.is_ok());
        }
        println!("{}", json!({ "event": "idle", "lost": lost }));
    }
}

/// Splits a number into parts of `size`, the last one maybe smaller.
fn groups(count: u64, size: u64) -> impl Iterator<Item = u64> {
    let size = size.max(1);
    (0..count.div_ceil(size)).map(move |number| (count - number * size).min(size))
}

/// What went how.
#[derive(Default)]
struct Seen {
    connecting: f64,
    /// Seconds from the common start of a group to each one's last byte.
    took: Vec<f64>,
    failed: u64,
    why: String,
}

impl Seen {
    fn failed(&mut self, error: &io::Error) {
        self.failed += 1;
        self.why = error.to_string();
    }

    fn line(&self) -> Value {
        let mean = self.took.iter().sum::<f64>() / self.took.len().max(1) as f64;
        let most = self.took.iter().copied().fold(0.0, f64::max);
        let least = self.took.iter().copied().fold(f64::INFINITY, f64::min);
        json!({
            "event": "crowd", "finished": self.took.len(), "failed": self.failed, "why": self.why,
            "connect_s": self.connecting, "mean_s": mean, "min_s": least, "max_s": most,
        })
    }
}

/// So many connections at once.
async fn dial(
    endpoint: &Arc<Endpoint>,
    ticket: &Ticket,
    count: u64,
    seen: &mut Seen,
) -> Vec<Connection> {
    let mut dialling = JoinSet::new();
    for _ in 0..count {
        let (endpoint, ticket) = (Arc::clone(endpoint), ticket.clone());
        dialling.spawn(async move { connect(&endpoint, &ticket).await });
    }
    let mut connections = Vec::new();
    for dialled in dialling.join_all().await {
        match dialled {
            Ok(connection) => connections.push(connection),
            Err(error) => seen.failed(&error),
        }
    }
    connections
}

/// Sends over each at once.
async fn send(connections: &[Connection], bytes: u64, seen: &mut Seen) {
    let mut sending = JoinSet::new();
    let begin = Instant::now();
    for connection in connections {
        let connection = connection.clone();
        sending.spawn(async move {
            let (send, recv) = connection.open(bulk::SERVICE).await?;
            let amount = bulk::Amount::Bytes(bytes);
            bulk::run(recv, send, amount, &|_| {}).await.map_err(io::Error::other)?;
            Ok(begin.elapsed().as_secs_f64())
        });
    }
    for sent in sending.join_all().await {
        match sent {
            Ok(time) => seen.took.push(time),
            Err(error) => seen.failed(&error),
        }
    }
}
