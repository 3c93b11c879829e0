//! The side that sends: messages, bulk, or both on one connection; and then the connection's counters.

use super::{bulk_line, connect, endpoint, home, messages_line, wrong};
use core::time::Duration;
use ropewalk::bench::{bulk, messages};
use ropewalk::connection::Connection;
use ropewalk::ticket::Ticket;
use ropewalk_core::id::Mode;
use serde_json::json;
use std::io;

/// Sends what `what` and its numbers say.
pub(super) async fn all(what: &str, mode: Mode, ticket: &str, numbers: &[u64]) -> io::Result<()> {
    let ticket: Ticket = ticket.parse().map_err(io::Error::other)?;
    let endpoint = endpoint(&home()?, mode, None).await?;
    let connection = connect(&endpoint, &ticket).await?;
    println!("{}", json!({ "event": "connected" }));
    match (what, numbers) {
        ("messages", [rate, size, seconds]) => {
            send_messages(&connection, plan(*rate, *size, *seconds)).await?;
        }
        ("bulk", [seconds]) => send_bulk(&connection, *seconds).await?,
        ("both", [rate, size, seconds, more]) => {
            // Beside bulk for its first `seconds`, and then for `more` on a stream that is new.
            let beside = async {
                send_messages(&connection, plan(*rate, *size, *seconds)).await?;
                send_messages(&connection, plan(*rate, *size, *more)).await
            };
            tokio::try_join!(send_bulk(&connection, seconds + more + 1), beside)?;
        }
        _ => return Err(wrong("no workload is called so")),
    }
    tell_counters(&connection);
    connection.close(0, "");
    let _ = tokio::time::timeout(Duration::from_millis(500), connection.closed()).await;
    Ok(())
}

fn plan(rate: u64, size: u64, seconds: u64) -> messages::Plan {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    messages::Plan { rate: rate as f64, size, time: Duration::from_secs(seconds) }
}

async fn send_messages(connection: &Connection, plan: messages::Plan) -> io::Result<()> {
    let (send, recv) = connection.open(messages::SERVICE).await?;
    let outcome = messages::run(recv, send, plan, |_| {}).await.map_err(io::Error::other)?;
    println!("{}", messages_line(&outcome));
    Ok(())
}

async fn send_bulk(connection: &Connection, seconds: u64) -> io::Result<()> {
    let (send, recv) = connection.open(bulk::SERVICE).await?;
    let amount = bulk::Amount::Time(Duration::from_secs(seconds));
    let outcome = bulk::run(recv, send, amount, &|_| {}).await.map_err(io::Error::other)?;
    println!("{}", bulk_line(&outcome));
    Ok(())
}

fn tell_counters(connection: &Connection) {
    let stats = connection.stats();
    println!(
        "{}",
        json!({
            "event": "counters", "sent_packets": stats.sent_packets, "sent_bytes": stats.sent_bytes,
            "again_bytes": stats.again_bytes, "tail_bytes": stats.tail_bytes,
            "repairs_sent": stats.repairs_sent, "suspicions": stats.suspicions,
        })
    );
}
