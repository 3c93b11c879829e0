//! What can be said on the command line. The names here are an interface: scripts depend on them.

mod bench;
mod connect;
mod ctl;
mod get;
mod manifest;
mod provision;
mod serve;
mod transfer;

pub use bench::{Amount, Bench, BenchBulk, BenchEcho, BenchMessages, BenchServe};
pub use connect::{Connect, LinkChoice, Listen, Mode};
pub use ctl::{Ctl, CtlCommand};
pub use get::Get;
pub use manifest::Manifest;
pub use provision::Provision;
pub use serve::Serve;
pub use transfer::{Recv, Send};

use clap::{Args, Parser, Subcommand};
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
BLAKE3 hash before it gets its name; until then it is called .NAME.ropewalk-part-XXXXXXXX, and if it
is cut off, the same sender's next try goes on with that.

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

    /// Fetch a file or folder from many servers at once
    #[command(after_help = "\
SOURCE is a node that runs `ropewalk serve`: a known name, a ticket, KEY@HOST:PORT, or @FILE with
one of these a line. Each piece is proved by its BLAKE3 hash, whoever it came from; a server that
sends what is wrong is dropped. One that cannot be reached is tried again, every half second at
first, for as long as you let it.

A mirror's URL (https://, http://, s3://) is a source as well. Hashes come from any ropewalk server,
or from what `ropewalk manifest` wrote: beside the mirror, at its URL and .ropewalk, or here, as
one more SOURCE.

What is under way is called .NAME.ropewalk-get; the same again goes on with it.

Examples:
  ropewalk get rope1...                              the one file that is offered
  ropewalk get @tickets.txt --out films              from all of these at once
  ropewalk get rope1... rope1... --list              what is offered, and by whom
  ropewalk get attic cellar --pick photos/2026       a part of a folder
  ropewalk get rope1... https://mirror.example/film.mkv
  ropewalk ctl add rope1...                          one source more for one that runs")]
    Get(Get),

    /// Offer files and folders to whoever has the ticket, until Ctrl-C
    #[command(after_help = "\
Each file is read once before it is offered, and its hashes are kept in the configuration folder:
the next time only what changed is read. Prints a ticket for each server on standard output; all
else goes to standard error. Nothing is ever written to what is offered. A ticket for one file or
folder names its hash. Tickets stay good until `ropewalk peers revoke`, over restarts too, as long
as the content is the same. A file that changes while it is offered is not given any more, and that
is told; one that only gets another name or permissions is hashed again and given on.

On a terminal it shows each server, and these keys work:
  1 to 9    select a server (1 then 2 for server 12)      a or 0    select all
  p         pause what is selected                        r         let it go on
  c         close it (all: c c); its clients are told     s         show its clients, or not
  q         close all and end
Elsewhere `ropewalk ctl` does the same, and --report prints what would be shown.

Examples:
  ropewalk serve film.mkv
  ropewalk serve photos/ notes.pdf --port 4433 --ticket-file t.txt
  ropewalk serve photos/ --max-rate 10M --report 10
  ropewalk serve film.mkv --servers 3 --ports 4433,4434,4435
  ropewalk serve film.mkv --metrics 9100          curl http://127.0.0.1:9100/metrics")]
    Serve(Serve),

    /// Write the hashes of a file or folder into a small file, to lie beside a copy on any web server
    #[command(after_help = "\
The file has 32 bytes for each MiB. With it beside a copy, at the copy's URL and .ropewalk, any web
server with ranges or object store can be a source: each piece is proved, whoever gave it.
PATH is read once; its hashes are kept in the folder that ROPEWALK_HOME moves, and read anew when
PATH changes. Prints the root on standard output: the BLAKE3 hash of a file, as b3sum prints it, or
that of the list of a folder. F is replaced if it is such a file, and left alone if it is not.

Examples:
  ropewalk manifest film.mkv                      writes film.mkv.ropewalk
  ropewalk manifest photos --out /srv/photos.ropewalk
  ropewalk manifest film.mkv --json | jq -r .root")]
    Manifest(Manifest),

    /// Ask a command that runs: a server's status, pause, close
    #[command(after_help = "\
Asks `ropewalk serve` or `ropewalk get` of the same user, by a local socket that nobody else may open. What it
prints is for people, or with --json one object a line. There is no such thing on Windows.

Exit code 2: several run, and --pid did not say which; they are listed. Exit code 4: it refused.

Examples:
  ropewalk ctl status
  ropewalk ctl pause 2                server 2 of `ropewalk serve --servers 3`
  ropewalk ctl close all
  ropewalk ctl --pid 4711 quit
  ropewalk ctl add rope1...           one source more for `ropewalk get`")]
    Ctl(Ctl),

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

#[cfg(test)]
mod tests;
