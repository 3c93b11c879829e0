//! `ropewalk serve`: offers files and folders to whoever has its ticket, until Ctrl-C.
//!
//! ```text
//!  filling ──> a shelf ──> opening ──> hosts ── events ──> running ──> telling
//!                                        │                    ^
//!                  screen, --report, numbers                keys, `ropewalk ctl`, Ctrl-C
//! ```

mod filling;
mod keys;
mod numbers;
mod opening;
mod running;
mod screen;
mod telling;

use super::args::Serve;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::report::{Line, Report};
use super::{outside, session};
use crate::home::Home;
use crate::metrics::Metrics;
use crate::serve::Server;
use crate::serve::host::Host;
use core::net::SocketAddr;
use running::Running;
use std::sync::Arc;
use telling::{Teller, Telling};
use tokio::sync::mpsc;

/// Events that wait to be told; what finds no room is counted.
const EVENTS_MAX: usize = 256;

/// `ropewalk serve`.
///
/// # Errors
/// When a path cannot be offered, or a server cannot wait at all. What goes wrong with one client is told, and the
/// others are served.
pub async fn serve(
    args: Serve,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let ports = opening::ports(&args)?;
    let home = Home::from_environment()?;
    let filled = filling::fill(args.paths, &home, &report, &mut interrupt).await?;
    let left_out = filled.left_out;
    let server = Server::new(Arc::new(filled.shelf), args.max_rate);
    let (tell, events) = mpsc::channel(EVENTS_MAX);
    // Its places are another server's as soon as this ends.
    let (hosts, _places) =
        opening::open(&ports, &args.connect, &home, server.beside(), &report, &tell).await?;
    let hosts = Arc::new(hosts);
    // Whoever reads the ticket may ask and scrape at once.
    let metrics = match args.metrics {
        Some(address) => Some(give_numbers(address, &hosts).await?),
        None => None,
    };
    let (guard, asked) = outside::be_asked(&home, &report);
    let tickets: Vec<String> = hosts.iter().map(|host| host.ticket().to_string()).collect();
    session::keep_ticket(args.ticket_file.as_deref(), &tickets.join("\n"))?;
    for ticket in &tickets {
        report.line(&Line::Ticket { ticket });
        report.show(ticket);
    }
    for (path, reason) in &left_out {
        report.line(&Line::LeftOut { path, reason });
    }
    let teller = Teller::new(Arc::clone(&report), hosts.len() > 1);
    teller.offers(server.shelf());
    if let Some(metrics) = &metrics {
        outside::tell_metrics(metrics, &report);
    }
    report.say("serving; Ctrl-C ends it");
    let running = Running::new(hosts, Arc::clone(&report), Telling::begin(teller));
    let (ended, told) = running.until_all_ended(events, interrupt, asked, args.report).await;
    if let Some(guard) = guard {
        guard.finish().await;
    }
    if !told {
        // Nobody reads what we say: whatever else is said would wait for its reader for ever.
        std::process::exit(ended.map_or_else(|failure| failure.code as i32, |code| code as i32));
    }
    ended
}

async fn give_numbers(address: SocketAddr, hosts: &Arc<Vec<Host>>) -> Result<Metrics, Failure> {
    // The servers close when nobody else has them.
    let hosts = Arc::downgrade(hosts);
    let render = move || {
        let hosts = hosts.upgrade();
        let status: Vec<_> =
            hosts.iter().flat_map(|hosts| hosts.iter()).map(Host::status).collect();
        numbers::page(&status)
    };
    outside::give_numbers(address, render).await
}
