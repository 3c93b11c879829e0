//! Who may connect: known peers, and whoever holds a ticket. Everybody else gets silence.
//!
//! The folder is asked anew each time, so that trust, revocation and a ticket's use count at once, in
//! every process. A stranger costs that look only after he has shown that he knows our public key.

use crate::home::Home;
use crate::peers::Peers;
use crate::ticket::{Secret, TicketId};
use crate::tickets::Tickets;
use ropewalk_core::id::PublicKey;

/// The pre-shared key of those who come without a ticket.
const NO_TICKET: Secret = [0; 32];

/// What is asked when somebody knocks.
#[derive(Clone, Debug)]
pub struct Admission {
    home: Home,
    tickets: Option<Tickets>,
}

impl Admission {
    /// Lets in the peers known in `home`, and those with a good ticket.
    #[must_use]
    pub fn peers_and_tickets(home: Home) -> Self {
        let tickets = Some(Tickets::new(home.clone()));
        Self { home, tickets }
    }

    /// Lets in the peers known in `home` alone.
    #[must_use]
    pub const fn peers_only(home: Home) -> Self {
        Self { home, tickets: None }
    }

    /// The pre-shared key for the handshake with this peer; `None` for silence. What cannot be read lets nobody in.
    #[must_use]
    pub fn admit(&self, peer: &PublicKey, ticket: Option<&TicketId>) -> Option<Secret> {
        let Some(ticket) = ticket else { return self.is_known(peer).then_some(NO_TICKET) };
        let secret = self.tickets.as_ref()?.secret(ticket);
        secret.inspect_err(|error| tracing::error!(%error, "cannot look the ticket up")).ok()?
    }

    /// Uses up a ticket for one use; whether it was still good. To be asked once the connection stands.
    #[must_use]
    pub fn spend(&self, ticket: Option<&TicketId>) -> bool {
        match (ticket, &self.tickets) {
            (Some(ticket), Some(tickets)) => tickets.spend(ticket),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn is_known(&self, peer: &PublicKey) -> bool {
        let peers = Peers::load(&self.home);
        let peers = peers.inspect_err(|error| tracing::error!(%error, "cannot look the peer up"));
        peers.is_ok_and(|peers| peers.name_of(peer).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peer;
    use crate::tickets::Use;

    const KNOWN: PublicKey = PublicKey([1; 32]);
    const STRANGER: PublicKey = PublicKey([2; 32]);

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let mut peers = Peers::default();
        peers.trust("known", Peer { key: KNOWN, addresses: vec![] }).unwrap();
        peers.save(&home).unwrap();
        (folder, home)
    }

    #[test]
    fn peers_come_in_by_name_and_strangers_by_ticket() {
        let (_folder, home) = home();
        let (id, secret) = Tickets::new(home.clone()).issue(Use::Lasting).unwrap();
        let admission = Admission::peers_and_tickets(home.clone());
        assert_eq!(admission.admit(&KNOWN, None), Some(NO_TICKET));
        assert_eq!(admission.admit(&STRANGER, None), None);
        assert_eq!(admission.admit(&STRANGER, Some(&id)), Some(secret));
        let mut peers = Peers::load(&home).unwrap();
        peers.remove("known").unwrap();
        peers.save(&home).unwrap();
        assert_eq!(admission.admit(&KNOWN, None), None, "forgotten at once");
    }

    #[test]
    fn a_ticket_for_one_use_is_good_once() {
        let (_folder, home) = home();
        let (id, secret) = Tickets::new(home.clone()).issue(Use::Once).unwrap();
        let admission = Admission::peers_and_tickets(home);
        assert_eq!(admission.admit(&STRANGER, Some(&id)), Some(secret));
        assert!(admission.spend(Some(&id)) && !admission.spend(Some(&id)));
        assert_eq!(admission.admit(&STRANGER, Some(&id)), None);
    }

    #[test]
    fn where_only_peers_may_come_in_a_ticket_is_nothing() {
        let (_folder, home) = home();
        let (id, _) = Tickets::new(home.clone()).issue(Use::Lasting).unwrap();
        let admission = Admission::peers_only(home);
        assert_eq!(admission.admit(&STRANGER, Some(&id)), None);
        assert_eq!(admission.admit(&KNOWN, None), Some(NO_TICKET));
    }
}
