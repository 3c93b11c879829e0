//! The servers are opened: each with its key, its port and its ticket.
//!
//! ```text
//!  HOME                place 1: the node itself
//!  HOME/servers/2      place 2: a key and a port, so that tickets to it survive a restart
//!  HOME/servers/3 ...
//! ```
//!
//! Each server takes the first place that no server has, and keeps it locked as long as its process runs: a second
//! `ropewalk serve` beside the first one has other keys, so that nobody takes both for one. Tickets survive if what runs side
//! by side is started again in the same order.
//!
//! The tickets' secret and the known peers are the node's for all of them: what is revoked is revoked
//! everywhere.

use super::super::args::{Connect, Serve};
use super::super::exit::{Code, Failure};
use super::super::report::Report;
use super::super::session;
use crate::admission::Admission;
use crate::home::Home;
use crate::serve::Server;
use crate::serve::host::{Host, Told};
use crate::serve::protocol::SERVICE;
use crate::ticket::Ticket;
use crate::tickets::{Tickets, Use};
use std::fs::File;
use tokio::sync::mpsc;

const SERVICES: &[&str] = &[SERVICE];

/// The port of each server, as the command line says; zero for the one that it had before.
pub(super) fn ports(args: &Serve) -> Result<Vec<u16>, Failure> {
    let Serve { servers, ports, connect, .. } = args;
    let (named, count) = (ports.len(), servers.map_or(ports.len().max(1), |count| count as usize));
    if named != 0 && named != count {
        let text = format!("--ports names {named} ports for {count} servers; name one for each");
        return Err(Failure::usage(text));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = ports.iter().find(|port| **port == 0 || !seen.insert(**port)) {
        let text = match twice {
            0 => "0 is no port; leave out --ports for ports that are free".into(),
            port => format!("--ports names {port} twice; each server needs its own"),
        };
        return Err(Failure::usage(text));
    }
    if count > 1 && !connect.links.serial.is_empty() {
        return Err(Failure::usage(
            "a serial line leads to one server; say --serial without --servers",
        ));
    }
    let first = if named == 0 { vec![connect.port] } else { ports.clone() };
    Ok(first.into_iter().chain(core::iter::repeat(0)).take(count).collect())
}

/// Most places: each server that runs has one.
const PLACES_MAX: u32 = 1_024;
/// Who has this file of a place locked has the place.
const LOCK_FILE: &str = "serve.lock";

/// Opens a server at each port; with them what keeps their places. What they do is told to `events`.
pub(super) async fn open(
    ports: &[u16],
    connect: &Connect,
    home: &Home,
    server: Server,
    report: &Report,
    events: &mpsc::Sender<Told>,
) -> Result<(Vec<Host>, Vec<File>), Failure> {
    let (mut hosts, mut locks) = (Vec::new(), Vec::new());
    let mut last_place = 0;
    for (number, port) in (1..).zip(ports) {
        let (place, lock) = take_place(home, last_place + 1)?;
        last_place = place;
        locks.push(lock);
        let own = place_home(home, place);
        if number == 1 && place != 1 {
            report.say(&format!(
                "another `ropewalk serve` of this node runs; this one has a key and tickets of its own, in {}",
                own.path("").display()
            ));
        }
        let connect = Connect { port: *port, ..connect.clone() };
        let admission = Admission::peers_and_tickets(home.clone());
        let endpoint = session::listen(&connect, &own, admission, SERVICES, report).await;
        let endpoint = endpoint.map_err(|failure| named(failure, number, ports.len()))?;
        let ticket = Tickets::new(home.clone()).ticket_to(&endpoint, Use::Lasting)?;
        let ticket = Ticket { root: server.shelf().only_root(), ..ticket };
        hosts.push(Host::start(number, endpoint, ticket, server.beside(), events.clone()));
    }
    Ok((hosts, locks))
}

/// The first place from this one on that nobody has.
fn take_place(home: &Home, from: u32) -> Result<(u32, File), Failure> {
    for place in from..=PLACES_MAX {
        if let Some(lock) = place_home(home, place).lock(LOCK_FILE)? {
            return Ok((place, lock));
        }
    }
    let text = format!("{PLACES_MAX} servers of this node run already; end one of them first");
    Err(Failure::new(Code::Failed, text))
}

fn place_home(home: &Home, place: u32) -> Home {
    match place {
        1 => home.clone(),
        _ => Home::at(home.path("servers").join(place.to_string())),
    }
}

fn named(failure: Failure, number: u32, count: usize) -> Failure {
    match failure.code {
        Code::Failed if count > 1 => {
            Failure::new(Code::Failed, format!("server {number}: {}", failure.message))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Command, CommandLine};
    use clap::Parser;

    fn ports_of(line: &str) -> Result<Vec<u16>, String> {
        let line = format!("ropewalk serve a {line}");
        match CommandLine::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Serve(args) => ports(&args).map_err(|failure| {
                assert_eq!(failure.code, Code::Usage);
                failure.message
            }),
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_place_is_one_servers_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let (first, lock) = take_place(&home, 1).unwrap();
        let (second, _kept) = take_place(&home, 1).unwrap();
        let (third, _kept_too) = take_place(&home, second + 1).unwrap();
        assert_eq!([first, second, third], [1, 2, 3]);
        drop(lock);
        assert_eq!(take_place(&home, 1).unwrap().0, 1);
    }

    #[test]
    fn each_server_has_a_port_of_its_own() {
        assert_eq!(ports_of(""), Ok(vec![0]));
        assert_eq!(ports_of("--port 7"), Ok(vec![7]));
        assert_eq!(ports_of("--servers 3"), Ok(vec![0, 0, 0]));
        assert_eq!(ports_of("--servers 2 --port 7"), Ok(vec![7, 0]));
        assert_eq!(ports_of("--ports 7,8"), Ok(vec![7, 8]));
        assert_eq!(ports_of("--servers 2 --ports 7,8"), Ok(vec![7, 8]));
        let refused = |line, what: &str| {
            let message = ports_of(line).unwrap_err();
            assert!(message.contains(what), "{line}: {message}");
        };
        refused("--servers 1 --ports 7,8", "2 ports for 1 servers");
        refused("--servers 3 --ports 7,8", "2 ports for 3 servers");
        refused("--ports 7,8,7", "7 twice");
        refused("--ports 0", "no port");
        refused("--servers 2 --serial /dev/ttyS0", "serial line");
    }
}
