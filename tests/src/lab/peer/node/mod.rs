//! ropewalk as a library: a node for workloads that its command line does not offer, such as bulk and
//! messages on one connection, hundreds of connections in one process, and the core's counters.
//!
//! ```text
//!   lab peer node serve                                        lets in whoever has its ticket, all at once
//!   lab peer node messages MODE TICKET RATE SIZE SECONDS       as `bench messages`
//!   lab peer node bulk MODE TICKET SECONDS                     as `bench bulk`
//!   lab peer node both MODE TICKET RATE SIZE SECONDS MORE      messages beside bulk on one connection
//!   lab peer node crowd TICKET COUNT AT_ONCE BYTES             many connections, which then are idle
//!   lab peer node liar FILE NTH                                serves a file, and lies about the NTH piece it is asked for
//! ```
//!
//! The services are those of `ropewalk bench`, and so either end may be the real program. The lines are
//! its lines too; whoever sends adds one with the connection's counters.

mod crowd;
mod liar;
mod send;
mod serve;

use ropewalk::bench::{bulk, messages};
use ropewalk::connection::Connection;
use ropewalk::endpoint::{Admit, Endpoint, EndpointConfig};
use ropewalk::home::Home;
use ropewalk::identity::Identity;
use ropewalk::ticket::Ticket;
use ropewalk_core::id::Mode;
use serde_json::{Value, json};
use std::io;

/// Plays what these words name, to its end.
///
/// # Errors
/// When the words name nothing, or the connection breaks.
pub fn play(words: &[&str]) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words {
            ["serve"] => serve::all().await,
            ["liar", path, nth] => liar::all(path.as_ref(), number(nth)?).await,
            ["crowd", ticket, count, dials, at_once, bytes] => {
                let (count, dials) = (number(count)?, number(dials)?);
                let (at_once, bytes) = (number(at_once)?, number(bytes)?);
                crowd::all(ticket, crowd::Plan { count, dials, at_once, bytes }).await
            }
            [what, mode, ticket, numbers @ ..] => {
                let numbers =
                    numbers.iter().copied().map(number).collect::<io::Result<Vec<u64>>>()?;
                send::all(what, self::mode(mode)?, ticket, &numbers).await
            }
            _ => Err(wrong("nothing is called so")),
        }
    })
}

/// A node with the identity of this machine's folder.
async fn endpoint(home: &Home, mode: Mode, admission: Option<Admit>) -> io::Result<Endpoint> {
    let identity = Identity::load_or_create(home).map_err(io::Error::other)?;
    let mut config = EndpointConfig::new(identity);
    (config.mode, config.admission, config.services) = (mode, admission, SERVICES);
    Endpoint::bind(config).await.map_err(io::Error::other)
}

async fn connect(endpoint: &Endpoint, ticket: &Ticket) -> io::Result<Connection> {
    let secret = Some((ticket.id, ticket.secret));
    endpoint.connect(ticket.key, secret, &ticket.addresses).await.map_err(io::Error::other)
}

fn home() -> io::Result<Home> {
    Home::from_environment().map_err(io::Error::other)
}

fn bulk_line(outcome: &bulk::Outcome) -> Value {
    let bulk::Outcome { bytes, time, gap_max } = *outcome;
    json!({
        "event": "bulk", "bytes": bytes, "seconds": time.as_secs_f64(),
        "mbit_s": bytes as f64 * 8e-6 / time.as_secs_f64().max(1e-9),
        "max_gap_ms": gap_max.as_secs_f64() * 1e3,
    })
}

fn messages_line(outcome: &messages::Outcome) -> Value {
    let messages::Outcome { count, lost, p50, p99, max } = *outcome;
    let [p50, p99, max] = [p50, p99, max].map(|time| time.as_secs_f64() * 1e3);
    json!({
        "event": "messages", "count": count, "lost": lost,
        "p50_ms": p50, "p99_ms": p99, "max_ms": max,
    })
}

fn mode(text: &str) -> io::Result<Mode> {
    match text {
        "bulk" => Ok(Mode::Bulk),
        "backup" => Ok(Mode::Backup),
        "redundant" => Ok(Mode::Redundant),
        "repair" => Ok(Mode::Repair),
        _ => Err(wrong("no mode is called so")),
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| wrong("that is no number"))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

const SERVICES: &[&str] = &[bulk::SERVICE, messages::SERVICE];
