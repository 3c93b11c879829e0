//! `ropewalk id` and `ropewalk peers`.

use super::args::Peers as Command;
use super::exit::Failure;
use super::report::Report;
use crate::home::Home;
use crate::identity::Identity;
use crate::key_text;
use crate::peers::{Peer, Peers};
use crate::tickets::Tickets;

/// `ropewalk id`.
///
/// # Errors
/// When the key cannot be read or made.
pub fn id(home: &Home, report: &Report) -> Result<(), Failure> {
    report.show(&key_text::format(&Identity::load_or_create(home)?.public()));
    Ok(())
}

/// `ropewalk peers`.
///
/// # Errors
/// When the list cannot be read or written, or a name or key is wrong.
pub fn peers(command: Command, home: &Home, report: &Report) -> Result<(), Failure> {
    if matches!(command, Command::Revoke) {
        Tickets::new(home.clone()).revoke()?;
        report.say("every ticket given out so far is worthless now");
        return Ok(());
    }
    let mut peers = Peers::load(home)?;
    match command {
        Command::List => {
            list(&peers, report);
            return Ok(());
        }
        Command::Trust { name, key, addresses } => {
            let key = key_text::parse(&key).map_err(Failure::usage)?;
            let addresses = addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>();
            peers.trust(&name, Peer { key, addresses: addresses.map_err(Failure::usage)? })?;
            report.say(&format!("{name} may connect"));
        }
        Command::Rename { from, to } => {
            peers.rename(&from, &to)?;
            report.say(&format!("{from} is called {to} now"));
        }
        Command::Remove { name } => {
            peers.remove(&name)?;
            report.say(&format!("{name} may not connect any more without a ticket"));
        }
        Command::Revoke => {}
    }
    Ok(peers.save(home)?)
}

fn list(peers: &Peers, report: &Report) {
    for (name, peer) in peers.iter() {
        let places: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        report.show(
            format!("{name}\t{}\t{}", key_text::format(&peer.key), places.join(" ")).trim_end(),
        );
    }
}
