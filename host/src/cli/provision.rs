//! `ropewalk provision`: the settings of a board, and the ticket that leads to it.

use super::args;
use super::exit::{Code, Failure};
use super::report::{Line, Report};
use super::session;
use crate::home::Home;
use crate::identity::Identity;
use crate::key_text;
use crate::peer::PeerAddress;
use crate::place::Place;
use crate::provision::{Board, Known, write};
use core::net::SocketAddr;
use ropewalk_core::application::settings::PEER_ADDRESSES_MAX;
use ropewalk_core::id::Address;

/// `ropewalk provision`.
///
/// # Errors
/// When a peer or a file is not what it should be.
pub async fn provision(args: args::Provision, report: &Report) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let mut peers = Vec::new();
    for text in &args.peers {
        peers.push(known(text, false, &home).await?);
    }
    for text in &args.serial_peers {
        peers.push(known(text, true, &home).await?);
    }
    let identity = match &args.key_file {
        Some(path) => Identity::load_or_create_at(path)?,
        None => Identity::ephemeral(),
    };
    let board = Board { identity, port: args.port, links: args.links, peers };
    let (settings, ticket) = board.settings().map_err(Failure::usage)?;
    write(&settings, &args.out, args.force).map_err(|error| Failure::new(Code::Failed, error))?;

    let (ticket, key) = (ticket.to_string(), key_text::format(&ticket.key));
    session::keep_ticket(args.ticket_file.as_deref(), &ticket)?;
    let out = args.out.display().to_string();
    report.line(&Line::Ticket { ticket: &ticket });
    report.show(&ticket);
    let addresses: Vec<String> = board.addresses().iter().map(SocketAddr::to_string).collect();
    let must_trust = |peer: &&Known| peer.ticket.is_none() && !peer.addresses.is_empty();
    let strangers: Vec<&Known> = board.peers.iter().filter(must_trust).collect();
    let trusted_by: Vec<String> =
        strangers.iter().map(|peer| key_text::format(&peer.key)).collect();
    report.line(&Line::Provisioned {
        file: &out,
        key: &key,
        port: board.port,
        addresses: &addresses,
        must_trust: &trusted_by,
    });
    report.say(&format!("{out} holds the settings of a board and its secret key"));
    match addresses.is_empty() {
        false => report.say(&format!("it will be at {}", addresses.join(" "))),
        true => report.say(
            "its ticket names no address: dial it over a serial line (--serial PATH), or by KEY@HOST:PORT once its address is known",
        ),
    }
    for peer in strangers {
        let whom = session::name(&peer.key);
        report.say(&format!(
            "it dials {whom}, which must let it in; say there: ropewalk peers trust board {key}"
        ));
    }
    Ok(Code::Done)
}

/// A peer as the board is to know it. A ticket without addresses leads over a serial line.
async fn known(text: &str, on_serial: bool, home: &Home) -> Result<Known, Failure> {
    let peer = PeerAddress::parse(text, home)?;
    let found = peer.resolve().await?;
    let serial = on_serial
        || peer.places.contains(&Place::Serial)
        || peer.places.is_empty() && peer.ticket.is_some();
    let mut addresses: Vec<Address> = serial.then_some(Address::Serial).into_iter().collect();
    // Scopes are this machine's business.
    let there = |at: &SocketAddr| Address::Ip(SocketAddr::new(at.ip(), at.port()));
    addresses.extend(found.iter().map(there));
    addresses.truncate(PEER_ADDRESSES_MAX);
    Ok(Known { key: peer.key, ticket: peer.ticket, addresses })
}
