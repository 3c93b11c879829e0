//! The side that lets in everybody with its ticket, takes every stream at once, and says of each what
//! it saw. Of bulk it also says each second how much has come, for measurements that do not wait for
//! the end.

use super::{bulk_line, endpoint, home, messages_line};
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use ropewalk::admission::Admission;
use ropewalk::bench::{bulk, messages};
use ropewalk::connection::{Connection, RecvStream, SendStream};
use ropewalk::ticket::Ticket;
use ropewalk::tickets::{Tickets, Use};
use ropewalk_core::id::Mode;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, ReadBuf};

/// Serves until it is killed.
pub(super) async fn all() -> io::Result<()> {
    let home = home()?;
    let admission = Admission::peers_and_tickets(home.clone());
    let admit = move |peer, ticket: Option<_>| admission.admit(&peer, ticket.as_ref());
    let endpoint = endpoint(&home, Mode::Bulk, Some(Arc::new(admit))).await?;
    let (id, secret) = Tickets::new(home).issue(Use::Lasting).map_err(io::Error::other)?;
    let (key, addresses) = (endpoint.public_key(), endpoint.addresses());
    let ticket = Ticket { key, id, secret, addresses, root: None }.to_string();
    println!("{}", json!({ "event": "ticket", "ticket": ticket }));
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(each(connection, Instant::now()));
    }
    Ok(())
}

async fn each(connection: Connection, since: Instant) {
    while let Some((service, send, recv)) = connection.accept().await {
        tokio::spawn(async move {
            let line = match service.as_str() {
                messages::SERVICE => messages::serve(recv, send)
                    .await
                    .map_or_else(|(_, error)| failed(&error), |outcome| messages_line(&outcome)),
                _ => take(recv, send, since).await,
            };
            println!("{line}");
        });
    }
}

async fn take(recv: RecvStream, send: SendStream, since: Instant) -> serde_json::Value {
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = Counted { recv, bytes: Arc::clone(&bytes) };
    let telling = tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        // The first comes at once.
        second.tick().await;
        loop {
            second.tick().await;
            let (bytes, seconds) = (bytes.load(Ordering::Relaxed), since.elapsed().as_secs_f64());
            println!("{}", json!({ "event": "so-far", "bytes": bytes, "seconds": seconds }));
        }
    });
    let outcome = bulk::serve(counted, send, since).await;
    telling.abort();
    outcome.map_or_else(|error| failed(&error), |outcome| bulk_line(&outcome))
}

fn failed(error: &impl ToString) -> serde_json::Value {
    json!({ "event": "failed", "reason": error.to_string() })
}

/// A stream that counts what is read from it.
struct Counted {
    recv: RecvStream,
    bytes: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.recv).poll_read(cx, into))?;
        let read = into.filled().len().saturating_sub(before);
        this.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}
