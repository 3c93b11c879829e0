//! What programs read of `ropewalk serve`.

use super::{LinkShare, PathLine};
use crate::cli::session::{self, Direction};
use crate::serve::status::{ClientStatus, HostStatus, LinkStatus};
use crate::{human, key_text};
use serde::Serialize;

/// One thing that happened at a server, or how it is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServeLine<'l> {
    /// Something that is served.
    Offered {
        /// Its name.
        name: &'l str,
        /// Files and folders in it, if it is a folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        entries: Option<u64>,
        /// Bytes of the file, or of all files in the folder.
        bytes: u64,
        /// The hash of the file, or of the folder's manifest.
        root: &'l str,
    },
    /// Where Prometheus finds numbers.
    Metrics {
        /// The page.
        url: &'l str,
    },
    /// A client came in.
    ClientCame {
        /// Which server, from one.
        server: u32,
        /// Its number there.
        client: u64,
        /// Its key.
        peer: &'l str,
        /// What we call it, if it is known.
        name: Option<&'l str>,
    },
    /// It went, or was hung up on.
    ClientWent {
        /// Which server.
        server: u32,
        /// What it got.
        #[serde(flatten)]
        client: ClientLine,
        /// What it did that the protocol does not allow.
        #[serde(skip_serializing_if = "Option::is_none")]
        broke: Option<String>,
    },
    /// What is offered is not what it was.
    ItemChanged {
        /// The item's name; of a file in a folder with the path to it.
        name: &'l str,
        /// `checking`: it was renamed or the like, and is hashed again; then `same`, and it is given on, or `changed`, and it
        /// is not given any more.
        state: String,
    },
    /// Events that were not told, as nobody read fast enough.
    Missed {
        /// At which server, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        server: Option<u32>,
        /// How many.
        events: u64,
    },
    /// There were too many clients: this one was turned away.
    ClientTurnedAway {
        /// Which server.
        server: u32,
        /// Its key.
        peer: &'l str,
    },
    /// A server answers, pauses or closes.
    Phase {
        /// Which server.
        server: u32,
        /// `serving`, `paused` or `closing`.
        phase: String,
    },
    /// A server closed, and its port is free.
    Closed {
        /// Which server.
        server: u32,
    },
    /// How a server is.
    Server(Box<ServerLine>),
}

/// A server, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerLine {
    /// Which server, from one.
    pub server: u32,
    /// `serving`, `paused`, `closing` or `closed`.
    pub phase: String,
    /// Its UDP port.
    pub port: u16,
    /// Where it can be reached now.
    pub addresses: Vec<String>,
    /// Bytes of content and hashes to all clients, those too that are gone.
    pub bytes: u64,
    /// What they get now.
    pub mbit_s: f64,
    /// What each link carried.
    pub links: Vec<LinkShare>,
    /// Who is here.
    pub clients: Vec<ClientLine>,
}

/// A client, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientLine {
    /// The server's number of it.
    pub client: u64,
    /// Its key.
    pub peer: String,
    /// What we call it: its name, or the beginning of its key.
    pub called: String,
    /// How long it has been here.
    pub seconds: f64,
    /// Bytes of content and hashes that it got.
    pub bytes: u64,
    /// What it gets now.
    pub mbit_s: f64,
    /// What each link carried to it.
    pub links: Vec<LinkShare>,
    /// Each path of its connection.
    pub paths: Vec<PathLine>,
}

impl From<&HostStatus> for ServerLine {
    fn from(host: &HostStatus) -> Self {
        let HostStatus { server, port, addresses, closed, status } = host;
        Self {
            server: *server,
            phase: if *closed { "closed".into() } else { status.phase.to_string() },
            port: *port,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            bytes: status.bytes,
            mbit_s: human::mbit_of(status.rate),
            links: links(&status.links),
            clients: status.clients.iter().map(ClientLine::from).collect(),
        }
    }
}

impl From<&ClientStatus> for ClientLine {
    fn from(client: &ClientStatus) -> Self {
        let path = |path| session::path_text(path, Direction::Sending).line;
        Self {
            client: client.number,
            peer: key_text::format(&client.peer),
            called: session::name(&client.peer),
            seconds: human::seconds(client.time),
            bytes: client.bytes,
            mbit_s: human::mbit_of(client.rate),
            links: links(&client.links),
            paths: client.paths.iter().map(path).collect(),
        }
    }
}

fn links(links: &[LinkStatus]) -> Vec<LinkShare> {
    let line = |link: &LinkStatus| LinkShare { link: link.link.clone(), bytes: link.bytes };
    links.iter().map(line).collect()
}

impl ServerLine {
    /// For people, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { server, phase, port, bytes, mbit_s, clients, .. } = self;
        let (bytes, rate, clients) = (human::bytes(*bytes), human::rate(*mbit_s), clients.len());
        let clients = if clients == 1 { "1 client".into() } else { format!("{clients} clients") };
        let links = in_words(&self.links);
        format!("server {server}: {phase}, port {port}, {clients}, {bytes}, {rate}{links}")
    }
}

impl ClientLine {
    /// For people, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { client, called, seconds, bytes, mbit_s, .. } = self;
        let (bytes, rate) = (human::bytes(*bytes), human::rate(*mbit_s));
        let time = human::time(core::time::Duration::from_secs_f64(*seconds));
        format!("client {client}, {called}: {time}, {bytes}, {rate}{}", in_words(&self.links))
    }
}

/// `; eth0 5 MB, wlan0 3 MB`.
fn in_words(links: &[LinkShare]) -> String {
    let link = |link: &LinkShare| format!("{} {}", link.link, human::bytes(link.bytes));
    let all: Vec<String> = links.iter().map(link).collect();
    if all.is_empty() { String::new() } else { format!("; {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::line::Line;

    #[test]
    fn a_server_is_one_line_for_programs_and_one_for_people() {
        let client = ClientLine {
            client: 3,
            peer: "key".into(),
            called: "attic".into(),
            seconds: 2.5,
            bytes: 1_500,
            mbit_s: 0.5,
            links: vec![LinkShare { link: "eth0".into(), bytes: 1_600 }],
            paths: vec![],
        };
        let server = ServerLine {
            server: 2,
            phase: "paused".into(),
            port: 7,
            addresses: vec!["10.0.0.1:7".into()],
            bytes: 2_000_000,
            mbit_s: 8.0,
            links: vec![],
            clients: vec![client.clone()],
        };
        assert_eq!(server.in_words(), "server 2: paused, port 7, 1 client, 2.0 MB, 8.0 Mbit/s");
        assert_eq!(client.in_words(), "client 3, attic: 2.5 s, 1.5 kB, 500.0 kbit/s; eth0 1.6 kB");
        let line = Line::Serve(ServeLine::Server(Box::new(server)));
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            concat!(
                r#"{"event":"server","server":2,"phase":"paused","port":7,"addresses":["10.0.0.1:7"],"#,
                r#""bytes":2000000,"mbit_s":8.0,"links":[],"clients":[{"client":3,"peer":"key","#,
                r#""called":"attic","seconds":2.5,"bytes":1500,"mbit_s":0.5,"#,
                r#""links":[{"link":"eth0","bytes":1600}],"paths":[]}]}"#
            )
        );
        let went = Line::Serve(ServeLine::ClientWent { server: 1, client, broke: None });
        let text = serde_json::to_string(&went).unwrap();
        assert!(text.starts_with(r#"{"event":"client_went","server":1,"client":3,"#), "{text}");
    }
}
