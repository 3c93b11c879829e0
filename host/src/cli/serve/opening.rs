//! The servers are opened: each with its key, its port and its ticket.
//!
//! ```text
//!  HOME                server 1 is the node itself
//!  HOME/servers/2      the key and the port of server 2, so that its tickets survive a restart
//!  HOME/servers/3 ...
//! ```
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

/// Opens a server at each port. What they do is told to `events`.
pub(super) async fn open(
    ports: &[u16],
    connect: &Connect,
    home: &Home,
    server: Server,
    report: &Report,
    events: &mpsc::Sender<Told>,
) -> Result<Vec<Host>, Failure> {
    let mut hosts: Vec<Host> = Vec::new();
    for (number, port) in (1..).zip(ports) {
        let own = if number == 1 { home.clone() } else { sub_home(home, number) };
        let connect = Connect { port: *port, ..connect.clone() };
        let admission = Admission::peers_and_tickets(home.clone());
        let endpoint = session::listen(&connect, &own, admission, SERVICES, report).await;
        let endpoint = endpoint.map_err(|failure| named(failure, number, ports.len()))?;
        let ticket = Tickets::new(home.clone()).ticket_to(&endpoint, Use::Lasting)?;
        let ticket = Ticket { root: server.shelf().only_root(), ..ticket };
        hosts.push(Host::start(number, endpoint, ticket, server.beside(), events.clone()));
    }
    Ok(hosts)
}

fn sub_home(home: &Home, number: u32) -> Home {
    Home::at(home.path("servers").join(number.to_string()))
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
