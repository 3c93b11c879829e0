//! What programs read: one thing that happened a line.
//!
//! Names of events and fields are an interface: scripts depend on them.

mod serve;

pub use serve::{ClientLine, ServeLine, ServerLine};

use crate::telemetry::Telemetry;
use serde::Serialize;

/// One thing that happened, as programs read it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line<'l> {
    /// The ticket to hand to the peer. Always the first line, where there is one.
    Ticket {
        /// The ticket.
        ticket: &'l str,
    },
    /// A connection stands.
    Connected {
        /// The peer's key.
        peer: &'l str,
        /// What we call it, if it is known.
        name: Option<&'l str>,
    },
    /// Nothing comes from the peer on any link; the command waits for it.
    Silent {
        /// The peer's key.
        peer: &'l str,
        /// For how long so far.
        seconds: f64,
    },
    /// The peer is there again.
    Back {
        /// The peer's key.
        peer: &'l str,
        /// How long it was silent.
        seconds: f64,
    },
    /// The quota of a link is spent: it carries nothing more.
    QuotaSpent {
        /// The link's name.
        link: &'l str,
    },
    /// What became of a serial line's frames so far.
    SerialLine {
        /// The link's name.
        link: &'l str,
        /// Frames that came damaged.
        corrupt_frames: u64,
        /// Packets that it had no time for: more than 50 ms of others were before them.
        dropped_packets: u64,
    },
    /// A file is there.
    File {
        /// Its path as the receiver sees it.
        path: &'l str,
        /// Its length.
        bytes: u64,
        /// See [`crate::transfer::FileReport::time`].
        seconds: f64,
        /// How many of them were there from an earlier time.
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<u64>,
        /// The bytes that came now over its time.
        mbit_s: f64,
        /// In hexadecimal.
        blake3: String,
        /// What each path did for it.
        paths: &'l [PathLine],
        /// Whether it was there before.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        already: bool,
    },
    /// A file or folder that the receiver did not take.
    Refused {
        /// Its path.
        path: &'l str,
        /// Why.
        reason: &'l str,
    },
    /// A file that the sender could not send whole, or that did not arrive as it was sent.
    Failed {
        /// Its path.
        path: &'l str,
        /// Why.
        reason: &'l str,
    },
    /// A file in the middle of which the connection ended.
    Stopped {
        /// Its path.
        path: &'l str,
        /// The temporary name under which the receiver keeps what came.
        kept: Option<&'l str>,
    },
    /// Something that was not sent: a symbolic link, a socket, a file that cannot be read.
    LeftOut {
        /// Its path.
        path: &'l str,
        /// Why.
        reason: &'l str,
    },
    /// A message.
    Message {
        /// What it says.
        text: &'l str,
    },
    /// One word of an explained message.
    Word {
        /// Its place in the sentence, from zero.
        number: u32,
        /// The word.
        text: &'l str,
        /// The link at this end.
        link: &'l str,
        /// The address at the other end.
        remote: &'l str,
    },
    /// A measurement is over.
    Bulk {
        /// What arrived.
        bytes: u64,
        /// From accepting the connection to the last byte, at the receiver.
        seconds: f64,
        /// Goodput.
        mbit_s: f64,
        /// The longest time without new bytes in order, after the first.
        max_gap_ms: f64,
        /// What each path did.
        paths: &'l [PathLine],
        /// The processor time that this end used, where the system says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu_s: Option<f64>,
    },
    /// A measurement of latency is over.
    Messages {
        /// Messages that arrived.
        count: u64,
        /// Messages that did not.
        lost: u64,
        /// One way, from the moment at which a message was due: the median.
        p50_ms: f64,
        /// What 99 of a hundred do not exceed.
        p99_ms: f64,
        /// What none exceeds.
        max_ms: f64,
        /// The processor time that this end used, where the system says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu_s: Option<f64>,
    },
    /// Bytes went to the peer and back, as seen at one end.
    Echo {
        /// How many.
        bytes: u64,
        /// From the first byte out to the last one back.
        seconds: f64,
        /// The bytes over the time until the peer had all of them.
        there_mbit_s: f64,
        /// The bytes over the time from the first one back to the last.
        back_mbit_s: f64,
        /// From the first byte out to the first one back.
        round_trip_ms: f64,
        /// The longest time without bytes back, after the first.
        max_gap_ms: f64,
        /// What each path sent and received.
        paths: &'l [EchoPath],
    },
    /// This end sent back what it heard.
    Echoed {
        /// How many bytes.
        bytes: u64,
    },
    /// What a board tells of itself.
    Telemetry {
        /// The board's key.
        peer: &'l str,
        /// What we call it, if it is known.
        name: Option<&'l str>,
        /// The record.
        #[serde(flatten)]
        record: &'l Telemetry,
    },
    /// A link that would be used, or is left out.
    Link(&'l LinkLine),
    /// A board's settings are written.
    Provisioned {
        /// Where.
        file: &'l str,
        /// The board's public key.
        key: &'l str,
        /// Its UDP port.
        port: u16,
        /// Where it will be, as far as that is known.
        addresses: &'l [String],
        /// Keys of the peers that it dials without a ticket of theirs.
        must_trust: &'l [String],
    },
    /// A source or several offer this.
    Listed {
        /// Its name.
        name: &'l str,
        /// `file` or `folder`.
        kind: &'static str,
        /// The bytes of it, or of all files in it.
        bytes: u64,
        /// Its root, in hexadecimal.
        root: &'l str,
        /// Who offers it.
        sources: &'l [&'l str],
    },
    /// This is fetched now.
    Fetching {
        /// Its name.
        name: &'l str,
        /// `file` or `folder`.
        kind: &'static str,
        /// The bytes of it, or of all files in it.
        bytes: u64,
        /// Its root, in hexadecimal.
        root: &'l str,
    },
    /// A source changed its state.
    Source {
        /// What it is called.
        source: &'l str,
        /// `up`, `down` (it is tried again), `paused`, `lacks`, `differs`, `lied` or `gone` (it is not).
        state: &'static str,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'l str>,
    },
    /// A source gives a name to other content than what is fetched.
    Differs {
        /// What it is called.
        source: &'l str,
        /// The name.
        name: &'l str,
        /// The root there.
        root: &'l str,
    },
    /// No source can be asked.
    AllDown,
    /// Bytes come again.
    Again {
        /// After so long.
        seconds: f64,
    },
    /// How a fetch stands.
    Progress(&'l FetchLine),
    /// A fetch is over.
    Fetched {
        /// Files that are there now.
        stored: u64,
        /// Files that were there before.
        already: u64,
        /// Files that this end would not take.
        refused: u64,
        /// Files that no source had.
        failed: u64,
        /// How it stood at the end.
        #[serde(flatten)]
        status: &'l FetchLine,
    },
    /// The hashes of a file or folder are written.
    Manifest {
        /// Where.
        file: &'l str,
        /// What the file or folder is called.
        name: &'l str,
        /// In hexadecimal.
        root: String,
        /// Bytes of the file, or of all files in the folder.
        bytes: u64,
        /// Bytes of the file of hashes.
        manifest_bytes: u64,
    },
    /// The command fails.
    Error {
        /// The exit code.
        code: u8,
        /// The thing, the cause and the next step.
        message: &'l str,
    },
    /// What happens at a server.
    #[serde(untagged)]
    Serve(ServeLine<'l>),
}

/// A fetch at one moment, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FetchLine {
    /// What is fetched.
    pub item: Option<String>,
    /// What is there and proved.
    pub bytes: u64,
    /// What is wanted.
    pub total: Option<u64>,
    /// What was there before.
    pub found: u64,
    /// What came from sources.
    pub fetched: u64,
    /// Of this, what was of no use.
    pub wasted: u64,
    /// Since the beginning.
    pub seconds: f64,
    /// Over the last second.
    pub mbit_s: f64,
    /// Each source.
    pub sources: Vec<SourceLine>,
    /// What each link carried.
    pub links: Vec<LinkShare>,
}

/// A source at one moment, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceLine {
    /// What it is called.
    pub source: String,
    /// What state it is in, in a word or two.
    pub state: String,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What came from it.
    pub bytes: u64,
    /// Of this, what was of no use.
    pub wasted: u64,
    /// Pieces and groups of hashes that it delivered first.
    pub pieces: u64,
    /// How often it was lost, fell silent or refused.
    pub failures: u64,
    /// Over the last second.
    pub mbit_s: f64,
    /// While it was up.
    pub mean_mbit_s: f64,
    /// From a request to its first byte.
    pub round_trip_ms: Option<f64>,
    /// What each link carried from it.
    pub links: Vec<LinkShare>,
    /// How many paths lead to it.
    pub paths: usize,
}

/// What a link carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkShare {
    /// Its name.
    pub link: String,
    /// Bytes.
    pub bytes: u64,
}

/// One path that carried bytes both ways, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EchoPath {
    /// The local link's name.
    pub link: String,
    /// The peer's address.
    pub remote: String,
    /// Stream bytes sent on it.
    pub sent: u64,
    /// Stream bytes received on it.
    pub received: u64,
    /// `probing`, `active`, `suspect` or `down`.
    pub state: &'static str,
}

/// One path, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathLine {
    /// The local link's name.
    pub link: String,
    /// The local address.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// What it carried, in our direction of interest.
    pub bytes: u64,
    /// Bytes of a full packet.
    pub datagram_bytes: u16,
    /// `probing`, `active`, `suspect` or `down`.
    pub state: &'static str,
}

impl PathLine {
    /// Whether both are of one path, at different moments.
    #[must_use]
    pub fn is_same_path(&self, other: &Self) -> bool {
        (&self.link, &self.local, &self.remote) == (&other.link, &other.local, &other.remote)
    }
}

/// One link, as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkLine {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Largest IP packet.
    pub mtu: u32,
    /// Its cost class.
    pub class: String,
    /// Whether something is plugged in at its other end.
    pub carrier: bool,
    /// Whether it would be used.
    pub used: bool,
    /// Why it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_that_scripts_know() {
        let path = PathLine {
            link: "eth0".into(),
            local: "10.0.0.1:7".into(),
            remote: "10.0.0.2:7".into(),
            bytes: 5,
            datagram_bytes: 1_472,
            state: "active",
        };
        let paths = [path];
        let json = |line: &Line<'_>| serde_json::to_string(line).unwrap();
        assert_eq!(
            json(&Line::Ticket { ticket: "rope1x" }),
            r#"{"event":"ticket","ticket":"rope1x"}"#
        );
        let bulk = Line::Bulk {
            bytes: 10,
            seconds: 0.5,
            mbit_s: 0.00016,
            max_gap_ms: 1.5,
            paths: &paths,
            cpu_s: Some(0.25),
        };
        assert_eq!(
            json(&bulk),
            concat!(
                r#"{"event":"bulk","bytes":10,"seconds":0.5,"mbit_s":0.00016,"max_gap_ms":1.5,"#,
                r#""paths":[{"link":"eth0","local":"10.0.0.1:7","remote":"10.0.0.2:7","bytes":5,"#,
                r#""datagram_bytes":1472,"state":"active"}],"cpu_s":0.25}"#
            )
        );
        let messages = Line::Messages {
            count: 9,
            lost: 1,
            p50_ms: 1.5,
            p99_ms: 2.0,
            max_ms: 3.25,
            cpu_s: None,
        };
        assert_eq!(
            json(&messages),
            r#"{"event":"messages","count":9,"lost":1,"p50_ms":1.5,"p99_ms":2.0,"max_ms":3.25}"#
        );
        let file = Line::File {
            path: "a/b",
            bytes: 1,
            seconds: 1.0,
            resumed: None,
            mbit_s: 8.0,
            blake3: "00".into(),
            paths: &[],
            already: false,
        };
        assert_eq!(
            json(&file),
            r#"{"event":"file","path":"a/b","bytes":1,"seconds":1.0,"mbit_s":8.0,"blake3":"00","paths":[]}"#
        );
    }
}
