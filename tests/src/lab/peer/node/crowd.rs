//! Many connections of one process to one server. Each sends so many bytes, a number of them at the
//! same time; then all stay open and idle until the process is killed.

use super::{connect, endpoint, home};
use core::time::Duration;
use ropewalk::bench::bulk;
use ropewalk::connection::Connection;
use ropewalk::endpoint::Endpoint;
use ropewalk::ticket::Ticket;
use ropewalk_core::id::Mode;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Makes the connections, sends, says how it went, and waits.
pub(super) async fn all(ticket: &str, count: u64, at_once: u64, bytes: u64) -> io::Result<()> {
    let ticket: Ticket = ticket.parse().map_err(io::Error::other)?;
    let endpoint = Arc::new(endpoint(&home()?, Mode::Bulk, None).await?);
    // Kept open to the end.
    let mut idle = Vec::new();
    let (mut connecting, mut took) = (0.0_f64, Vec::new());
    let mut left = count;
    while left > 0 {
        let group = left.min(at_once.max(1));
        left -= group;
        let begin = Instant::now();
        let connections = dial(&endpoint, &ticket, group).await?;
        connecting = connecting.max(begin.elapsed().as_secs_f64());
        took.extend(send(&connections, bytes).await?);
        idle.extend(connections);
    }
    let mean = took.iter().sum::<f64>() / took.len().max(1) as f64;
    let (least, most) = took
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(least, most), time| (least.min(*time), most.max(*time)));
    println!(
        "{}",
        json!({
            "event": "crowd", "count": took.len(), "connect_s": connecting,
            "mean_s": mean, "min_s": least, "max_s": most,
        })
    );
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

/// So many connections at once.
async fn dial(
    endpoint: &Arc<Endpoint>,
    ticket: &Ticket,
    count: u64,
) -> io::Result<Vec<Connection>> {
    let mut dialling = JoinSet::new();
    for _ in 0..count {
        let (endpoint, ticket) = (Arc::clone(endpoint), ticket.clone());
        dialling.spawn(async move { connect(&endpoint, &ticket).await });
    }
    dialling.join_all().await.into_iter().collect()
}

/// Sends over each at once. Gives the seconds from the common start to each one's last byte.
async fn send(connections: &[Connection], bytes: u64) -> io::Result<Vec<f64>> {
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
    sending.join_all().await.into_iter().collect()
}
