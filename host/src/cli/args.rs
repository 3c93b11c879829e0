//! What can be said on the command line. The names here are an interface: scripts depend on them.

use super::values::{addressing, message_size, quota, rate, seconds, size};
use crate::link::serial::SerialConfig;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ropewalk_core::application::settings::Addressing;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  ropewalk demo                       see it work on this machine alone
  ropewalk recv --out inbox           on one machine: prints a ticket, and waits
  ropewalk send rope1... film.mkv     on the other: sends over every link at once
  ropewalk links                      what it would use here

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 peer unreachable, 4 refused,
5 verification failed, 6 stopped but resumable, 130 Ctrl-C.
A peer that falls silent on every link is waited for, 30 s at most.

ROPEWALK_HOME moves the folder of the key, the known peers and the tickets' secret.";

/// Sends over every link that two machines share at once: their rates add up, and when a link fails
/// the transfer goes on.
#[derive(Clone, Debug, Parser)]
#[command(name = "ropewalk", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Tell on standard error what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Append what happens to FILE, one JSON object a line
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The main job on this machine alone: three emulated links, one of which fails half-way
    #[command(after_help = "\
Two nodes in one process, three loopback links with different rates and delays. Sends FILE, or
256 MiB that it makes, cuts one link half-way and brings it back, and verifies what arrived.
Exits with 0 only if every byte is right and no gap was longer than a second.

Examples:
  ropewalk demo
  ropewalk demo film.mkv")]
    Demo(Demo),

    /// Print this node's public key
    #[command(after_help = "\
The key is made on first use and kept in the configuration folder, which ROPEWALK_HOME moves.

Example, to let this node into another without a ticket:
  there:  ropewalk peers trust laptop $(ssh laptop ropewalk id)")]
    Id,

    /// Who may connect, and by which name we call them
    #[command(subcommand)]
    Peers(Peers),

    /// The links it would use, and those it leaves out, with the reason
    #[command(after_help = "\
Examples:
  ropewalk links
  ropewalk links --json
  ropewalk links --serial /dev/ttyUSB0     a serial line is used when it is named")]
    Links(Links),

    /// Print a ticket, wait, and receive files and folders
    #[command(after_help = "\
Prints a ticket on standard output; all else goes to standard error. A file is verified by its
BLAKE3 hash before it gets its name; until then it is called .NAME.ropewalk-part-XXXXXXXX.

Examples:
  ropewalk recv                            into this folder, until Ctrl-C
  ropewalk recv --out inbox --once         one transfer; the ticket dies with it
  ropewalk recv --once --out - | tar x     one file to standard output
  ropewalk recv --trusted                  known peers only, no ticket")]
    Recv(Recv),

    /// Send files, folders, standard input (-) or a message
    #[command(after_help = "\
PEER is a known name, a ticket, @FILE holding a ticket, KEY@HOST:PORT, or KEY@serial for a node
at the other end of a serial line (--serial).

Examples:
  ropewalk send rope1... film.mkv photos/
  ropewalk send @ticket.txt report.pdf
  tar c src | ropewalk send attic -
  ropewalk send attic --message 'the door is open'
  ropewalk send attic --message 'one word a packet' --mode spread --explain")]
    Send(Send),

    /// Measure what the links carry together
    #[command(subcommand)]
    Bench(Bench),

    /// Write the settings of a board: its key, its addresses and whom it knows; print its ticket
    #[command(after_help = "\
Prints the board's ticket on standard output; all else goes to standard error. F holds the board's
secret key: whoever reads it can be the board.

ADDRESSING, once for each of the board's network links in its order:
  link-local           IPv6 within the link alone; what a link has that is not named
  dhcp                 IPv4 from a DHCP server
  10.0.0.5/24          this address; 10.0.0.5/24,via=10.0.0.1 names the way to other networks
  off                  the link is not used

A PEER may come in without a ticket, and the board dials it if it is known where it is: a known name,
a ticket (@FILE), KEY@HOST:PORT, or KEY@serial for one at the board's serial line. What it answers
with is its own affair: give the board a ticket of it, or let it trust the board's key.

Examples:
  ropewalk provision --out board.rope --link 192.168.7.2/24        then dial the board
  ropewalk bench bulk rope1... --seconds 5

  ropewalk recv --ticket-file pc.txt                               Ctrl-C; its ticket stays good
  ropewalk provision --out board.rope --link dhcp --peer @pc.txt   then the board dials
  ropewalk recv --json                                             and its telemetry is printed

  ropewalk provision --out board.rope --link off                   over a serial line alone
  ropewalk bench bulk rope1... --seconds 5 --serial /dev/ttyACM0")]
    Provision(Provision),

    /// Print what a shell needs to complete commands and options
    #[command(after_help = "\
Examples:
  ropewalk completions bash > ~/.local/share/bash-completion/completions/ropewalk
  ropewalk completions zsh > ~/.zfunc/_ropewalk
  ropewalk completions fish > ~/.config/fish/completions/ropewalk.fish")]
    Completions(Completions),

    /// Write a man page for each command
    #[command(after_help = "\
Example:
  ropewalk man --out ~/.local/share/man/man1")]
    Man(Man),
}

/// `completions`.
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// Which shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Clone, Debug, Args)]
pub struct Man {
    /// Where to put the pages
    #[arg(long, value_name = "DIR", default_value = "man")]
    pub out: PathBuf,
}

/// `demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// What to send; 256 MiB of noise if nothing is named
    pub file: Option<PathBuf>,
}

/// `peers`.
#[derive(Clone, Debug, Subcommand)]
pub enum Peers {
    /// List the known peers: name, key, addresses
    List,
    /// Let the node with KEY connect without a ticket, and call it NAME
    #[command(after_help = "\
Example:
  ropewalk peers trust attic KEY 192.168.1.20:4433 attic.example:4433")]
    Trust {
        /// What to call it
        name: String,
        /// What `ropewalk id` prints there
        key: String,
        /// Where it is, if it is to be dialled by name: HOST:PORT, or serial
        #[arg(value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Call a known peer by another name
    Rename {
        /// Its name
        from: String,
        /// Its new name
        to: String,
    },
    /// Forget a known peer
    Remove {
        /// Its name
        name: String,
    },
    /// Make every ticket given out so far worthless
    Revoke,
}

/// `links`.
#[derive(Clone, Debug, Args)]
pub struct Links {
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Which links.
    #[command(flatten)]
    pub choice: LinkChoice,
}

/// `recv`.
#[derive(Clone, Debug, Args)]
pub struct Recv {
    /// Where files go: a folder, or - for standard output
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    pub overwrite: bool,
    /// How to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// Known peers only, no ticket
    #[arg(long, conflicts_with = "ticket_file")]
    pub trusted: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// What both waiting commands take.
#[derive(Clone, Debug, Args)]
pub struct Listen {
    /// End after one connection; the ticket is good for that one alone
    #[arg(long)]
    pub once: bool,
    /// Write the ticket to F too
    #[arg(long, value_name = "F")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}

/// `send`.
#[derive(Clone, Debug, Args)]
pub struct Send {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Files and folders; - is standard input
    #[arg(value_name = "PATH", required_unless_present = "message", conflicts_with = "message")]
    pub paths: Vec<PathBuf>,
    /// Send TEXT instead of files
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// With --mode spread: one word a packet, and both ends tell which word took which path
    #[arg(long, requires = "message", conflicts_with = "paths")]
    pub explain: bool,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench`.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// The far end of a measurement: print a ticket, and wait
    #[command(after_help = "\
Example:
  ropewalk bench serve --once --json")]
    Serve(BenchServe),
    /// Send as fast as the links allow; the receiver's clock counts
    #[command(after_help = "\
Examples:
  ropewalk bench bulk @ticket.txt --seconds 10 --plot rates.svg
  ropewalk bench bulk rope1... --bytes 1G --json")]
    Bulk(BenchBulk),
    /// Send messages at a steady rate over one reliable stream; the receiver tells how late each was
    #[command(after_help = "\
Latency is one way, from the moment at which a message was due to the moment at which the receiver
has read it. Both ends must run on one machine, for example in two network namespaces: the clock is
the machine's own.

Examples:
  ropewalk bench messages @ticket.txt --rate 100 --size 1000 --seconds 14
  ropewalk bench messages rope1... --rate 10000 --size 64 --seconds 5 --json")]
    Messages(BenchMessages),
    /// Send bytes to the peer and back, and see that they are the same; this end's clock counts
    #[command(after_help = "\
Every `ropewalk bench serve` and every board sends back what it hears.

Examples:
  ropewalk bench echo rope1... --bytes 1M
  ropewalk bench echo @board.txt --serial /dev/ttyACM0 --json")]
    Echo(BenchEcho),
}

/// `bench serve`.
#[derive(Clone, Debug, Args)]
pub struct BenchServe {
    /// How to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// Draw the rate of each path over time; a later measurement replaces the picture
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench bulk`.
#[derive(Clone, Debug, Args)]
pub struct BenchBulk {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// How much or how long.
    #[command(flatten)]
    pub amount: Amount,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench messages`.
#[derive(Clone, Debug, Args)]
pub struct BenchMessages {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Messages a second, at most 10000
    #[arg(long, value_name = "HZ", value_parser = rate)]
    pub rate: f64,
    /// Length of each message: 16 bytes to 1M
    #[arg(long, value_name = "BYTES", value_parser = message_size)]
    pub size: usize,
    /// Send for S seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: f64,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench echo`.
#[derive(Clone, Debug, Args)]
pub struct BenchEcho {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Send N bytes; K, M and G are powers of 1024
    #[arg(long, value_name = "N", value_parser = size, default_value = "256K")]
    pub bytes: u64,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// How much `bench bulk` sends.
#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Amount {
    /// Send N bytes; K, M and G are powers of 1024
    #[arg(long, value_name = "N", value_parser = size)]
    pub bytes: Option<u64>,
    /// Send for S seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<f64>,
}

/// `provision`.
#[derive(Clone, Debug, Args)]
pub struct Provision {
    /// Where the settings go
    #[arg(long, value_name = "F")]
    pub out: PathBuf,
    /// Replace F if it exists, and with it the key that it holds
    #[arg(long)]
    pub force: bool,
    /// Keep the board's key in K, so that it stays who it is; made if it is not there
    #[arg(long, value_name = "K")]
    pub key_file: Option<PathBuf>,
    /// The board's UDP port on every link
    #[arg(long, value_name = "N", default_value_t = 4433, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// How the next of its network links gets its address (repeatable, in the board's order)
    #[arg(long = "link", value_name = "ADDRESSING", value_parser = addressing)]
    pub links: Vec<Addressing>,
    /// Whom the board knows, and dials if it is known where (repeatable)
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<String>,
    /// As --peer, and it is looked for at the board's serial line too (repeatable)
    #[arg(long = "serial-peer", value_name = "PEER")]
    pub serial_peers: Vec<String>,
    /// Write the board's ticket to T too
    #[arg(long, value_name = "T")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of every command that connects.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// How the paths are used; what the dialer says binds both directions
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Which links.
    #[command(flatten)]
    pub links: LinkChoice,
    /// With --mode backup: this link is the spare (repeatable); else the dearer, then the longer one
    #[arg(long = "backup-link", value_name = "NAME")]
    pub spares: Vec<String>,
    /// This link costs money: it carries data only when the others do not keep up (repeatable)
    #[arg(long, value_name = "NAME")]
    pub metered: Vec<String>,
    /// As --metered, and never more than so many bytes both ways together: wwan0=500M (repeatable)
    #[arg(long = "quota", value_name = "NAME=BYTES", value_parser = quota)]
    pub quotas: Vec<(String, u64)>,
    /// Advertise this address too, for example one that a router forwards (repeatable)
    #[arg(long = "address", value_name = "HOST:PORT")]
    pub addresses: Vec<String>,
    /// The UDP port of every link
    #[arg(long, value_name = "N", default_value_t)]
    pub port: u16,
    /// Most memory for what is under way: 16M, 512K
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub window: Option<u64>,
}

/// Which links to use.
#[derive(Clone, Debug, Default, Args)]
pub struct LinkChoice {
    /// Use only this link (repeatable)
    #[arg(long = "link", value_name = "NAME")]
    pub only: Vec<String>,
    /// Do not use this link (repeatable)
    #[arg(long = "not-link", value_name = "NAME")]
    pub not: Vec<String>,
    /// Use this serial line too, at 115200 baud unless said: /dev/ttyUSB0:921600 (repeatable)
    #[arg(long, value_name = "PATH[:BAUD]")]
    pub serial: Vec<SerialConfig>,
}

/// How the paths are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Add the rates of all links
    #[default]
    Bulk,
    /// A random path for each packet; for demonstration
    Spread,
    /// One link carries everything, the others stand by
    Backup,
    /// Every byte on every link, the first copy wins
    Redundant,
    /// As bulk, and what is lost is computed from repair symbols that took another link
    Repair,
}

impl From<Mode> for ropewalk_core::id::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Bulk => Self::Bulk,
            Mode::Spread => Self::Spread,
            Mode::Backup => Self::Backup,
            Mode::Redundant => Self::Redundant,
            Mode::Repair => Self::Repair,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_holds_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_line_of_the_manual_is_understood() {
        for line in [
            "ropewalk demo",
            "ropewalk demo FILE",
            "ropewalk id",
            "ropewalk peers list",
            "ropewalk peers trust NAME KEY",
            "ropewalk peers trust NAME KEY a:1 b:2",
            "ropewalk peers rename A B",
            "ropewalk peers remove A",
            "ropewalk peers revoke",
            "ropewalk links --json",
            "ropewalk links --serial /dev/ttyUSB0:921600",
            "ropewalk recv --serial /dev/ttyUSB0 --serial /dev/ttyACM0:9600 --link ttyUSB0",
            "ropewalk provision --out F",
            "ropewalk provision --out F --force --key-file K --port 9 --ticket-file T --json",
            "ropewalk provision --out F --link dhcp --link off --link 10.0.0.5/24,via=10.0.0.1",
            "ropewalk provision --out F --peer attic --peer @T --serial-peer KEY@h:1",
            "ropewalk recv --out DIR --once --overwrite --ticket-file F --json",
            "ropewalk recv --out - --trusted",
            "ropewalk send PEER a b - --json --log L",
            "ropewalk send PEER --message TEXT",
            "ropewalk send PEER --message TEXT --mode spread --explain",
            "ropewalk bench serve --once --ticket-file F --json",
            "ropewalk bench bulk PEER --bytes 100M --json",
            "ropewalk send PEER a --mode redundant",
            "ropewalk bench messages PEER --rate 9 --size 99 --seconds 9 --mode repair",
            "ropewalk send PEER a --mode backup --backup-link wlan0 --backup-link wwan0",
            "ropewalk recv --backup-link wwan0 --metered wwan0 --quota wwan0=500M --quota a=b=1G",
            "ropewalk bench bulk PEER --seconds 2.5 --plot F.svg",
            "ropewalk bench messages PEER --rate 100 --size 1000 --seconds 14 --json",
            "ropewalk bench messages PEER --rate 10000 --size 16 --seconds 0.5 --mode spread --plot F",
            "ropewalk bench echo PEER",
            "ropewalk bench echo PEER --bytes 1M --json --plot F --serial /dev/ttyACM0",
            "ropewalk bench messages PEER --rate 0.5 --size 1M --seconds 4 --link eth0",
            "ropewalk -v send PEER a --mode bulk --link eth0 --link wlan0 --not-link lo --address h:1 --port 7 --window 4M",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "ropewalk",
            "ropewalk send",
            "ropewalk send PEER",
            "ropewalk send PEER a --message TEXT",
            "ropewalk send PEER a --explain",
            "ropewalk send PEER a --mode fastest",
            "ropewalk send PEER a --quota wwan0",
            "ropewalk send PEER a --quota =5M",
            "ropewalk send PEER a --quota wwan0=0",
            "ropewalk send PEER a --quota wwan0=lots",
            "ropewalk send PEER a --port 70000",
            "ropewalk recv --trusted --ticket-file F",
            "ropewalk bench bulk PEER",
            "ropewalk bench bulk PEER --bytes 1 --seconds 1",
            "ropewalk bench bulk PEER --bytes 0",
            "ropewalk bench bulk PEER --seconds -1",
            "ropewalk bench messages PEER --rate 0 --size 100 --seconds 1",
            "ropewalk bench messages PEER --rate -1 --size 100 --seconds 1",
            "ropewalk bench messages PEER --rate 10001 --size 100 --seconds 1",
            "ropewalk bench messages PEER --rate NaN --size 100 --seconds 1",
            "ropewalk bench messages PEER --rate 1 --size 15 --seconds 1",
            "ropewalk bench messages PEER --rate 1 --size 1048577 --seconds 1",
            "ropewalk bench messages PEER --rate 1 --size 100 --seconds 0",
            "ropewalk bench messages PEER --rate 1 --size 100",
            "ropewalk peers",
            "ropewalk links --serial /dev/ttyUSB0:1",
            "ropewalk provision",
            "ropewalk provision --out F --port 0",
            "ropewalk provision --out F --link 10.0.0.5",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
