//! The tickets that this node gave out, without a list of them.
//!
//! ```text
//! ticket's id     = nonce 4 | keyed BLAKE3 (generation secret, "id" | nonce), its first 4 bytes
//! ticket's secret = keyed BLAKE3 (generation secret, "secret" | id)
//! ```
//!
//! The id proves itself, so that one that nobody was given meets silence like any stranger.
//! The generation secret lies in the configuration folder, so that tickets survive a restart; `revoke`
//! replaces it, and every ticket given out so far is worthless. A ticket for one use says so in its id
//! (the first bit); it is good as long as a file of its name stands in the folder, which goes with its use.

use crate::base32;
use crate::endpoint::Endpoint;
use crate::home::{Home, HomeError};
use crate::random;
use crate::ticket::{Secret, Ticket, TicketId};
use std::fs;
use std::io;

const FILE: &str = "tickets.key";
const ONCE_PREFIX: &str = "ticket-";
const ONCE_BIT: u8 = 0x80;

/// How often a ticket is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Until it is revoked.
    Lasting,
    /// Once.
    Once,
}

/// The tickets of the node whose configuration folder this is.
#[derive(Clone, Debug)]
pub struct Tickets {
    home: Home,
}

impl Tickets {
    /// Those kept in `home`.
    #[must_use]
    pub const fn new(home: Home) -> Self {
        Self { home }
    }

    /// A new ticket's id and secret.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn issue(&self, good: Use) -> Result<(TicketId, Secret), HomeError> {
        let mut nonce = random::bytes();
        nonce[0] = match good {
            Use::Lasting => nonce[0] & !ONCE_BIT,
            Use::Once => nonce[0] | ONCE_BIT,
        };
        let generation = self.generation()?;
        let id = id_of(&generation, nonce);
        let secret = secret_of(&generation, &id);
        if good == Use::Once {
            self.home.write(&once_file(&id), "")?;
        }
        Ok((id, secret))
    }

    /// A new ticket to `endpoint`, which is this node's.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn ticket_to(&self, endpoint: &Endpoint, good: Use) -> Result<Ticket, HomeError> {
        let (id, secret) = self.issue(good)?;
        let (key, addresses) = (endpoint.public_key(), endpoint.addresses());
        Ok(Ticket { key, id, secret, addresses, root: None })
    }

    /// The secret of the ticket `id`; `None` if it was never given out, revoked or used up.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn secret(&self, id: &TicketId) -> Result<Option<Secret>, HomeError> {
        let Some(generation) = self.stored_generation()? else { return Ok(None) };
        let [a, b, c, d, ..] = *id;
        if *id != id_of(&generation, [a, b, c, d]) {
            return Ok(None);
        }
        if is_once(id) && self.home.read(&once_file(id))?.is_none() {
            return Ok(None);
        }
        Ok(Some(secret_of(&generation, id)))
    }

    /// Uses the ticket up if it is good for one use; says whether it was good. Of two that
    /// use it at once, one is told so.
    #[must_use]
    pub fn spend(&self, id: &TicketId) -> bool {
        !is_once(id) || fs::remove_file(self.home.path(&once_file(id))).is_ok()
    }

    /// Makes every ticket given out so far worthless.
    ///
    /// # Errors
    /// When the folder cannot be written; no ticket is revoked then.
    pub fn revoke(&self) -> Result<(), HomeError> {
        self.home.write(FILE, &fresh_generation())?;
        let path = self.home.path("");
        let failed = |cause: io::Error| HomeError::Io { verb: "read", path: path.clone(), cause };
        for entry in fs::read_dir(&path).map_err(failed)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(ONCE_PREFIX) {
                // What stays is worthless all the same.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn generation(&self) -> Result<Secret, HomeError> {
        match self.stored_generation()? {
            Some(generation) => Ok(generation),
            None => self.parse(&self.home.create_secret(FILE, &fresh_generation())?),
        }
    }

    fn stored_generation(&self) -> Result<Option<Secret>, HomeError> {
        self.home.read_secret(FILE)?.map(|text| self.parse(&text)).transpose()
    }

    fn parse(&self, text: &str) -> Result<Secret, HomeError> {
        let bytes = base32::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let what = "it does not hold 32 bytes in base32".to_owned();
        bytes.ok_or_else(|| HomeError::Damaged { path: self.home.path(FILE), what })
    }
}

fn fresh_generation() -> String {
    base32::encode(&random::bytes::<32>()) + "\n"
}

fn id_of(generation: &Secret, nonce: [u8; 4]) -> TicketId {
    let mut proof = [0; 4];
    blake3::Hasher::new_keyed(generation)
        .update(b"id")
        .update(&nonce)
        .finalize_xof()
        .fill(&mut proof);
    let ([a, b, c, d], [e, f, g, h]) = (nonce, proof);
    [a, b, c, d, e, f, g, h]
}

fn secret_of(generation: &Secret, id: &TicketId) -> Secret {
    *blake3::Hasher::new_keyed(generation).update(b"secret").update(id).finalize().as_bytes()
}

const fn is_once(id: &TicketId) -> bool {
    id[0] & ONCE_BIT != 0
}

fn once_file(id: &TicketId) -> String {
    format!("{ONCE_PREFIX}{}", base32::encode(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets() -> (tempfile::TempDir, Tickets) {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets::new(Home::at(folder.path()));
        (folder, tickets)
    }

    #[test]
    fn a_lasting_ticket_survives_a_restart_and_its_use() {
        let (folder, tickets) = tickets();
        let (id, secret) = tickets.issue(Use::Lasting).unwrap();
        let restarted = Tickets::new(Home::at(folder.path()));
        assert_eq!(restarted.secret(&id).unwrap(), Some(secret));
        assert!(restarted.spend(&id) && restarted.spend(&id));
        assert_eq!(restarted.secret(&id).unwrap(), Some(secret));
    }

    #[test]
    fn a_ticket_for_one_use_survives_a_restart_and_dies_with_its_use() {
        let (folder, tickets) = tickets();
        let (id, secret) = tickets.issue(Use::Once).unwrap();
        let restarted = Tickets::new(Home::at(folder.path()));
        assert_eq!(restarted.secret(&id).unwrap(), Some(secret));
        assert!(restarted.spend(&id));
        assert_eq!(tickets.secret(&id).unwrap(), None);
        assert!(!tickets.spend(&id), "once");
    }

    #[test]
    fn revoking_makes_every_ticket_worthless() {
        let (_folder, tickets) = tickets();
        let (lasting, before) = tickets.issue(Use::Lasting).unwrap();
        let (once, _) = tickets.issue(Use::Once).unwrap();
        tickets.revoke().unwrap();
        assert_eq!(tickets.secret(&lasting).unwrap(), None, "instead of {before:?}");
        assert_eq!(tickets.secret(&once).unwrap(), None);
        let (next, secret) = tickets.issue(Use::Lasting).unwrap();
        assert_eq!(tickets.secret(&next).unwrap(), Some(secret), "new ones are good");
    }

    #[test]
    fn an_id_that_was_never_given_out_is_nobodys() {
        let (_folder, tickets) = tickets();
        let (id, _) = tickets.issue(Use::Lasting).unwrap();
        for at in 0..id.len() {
            let mut other = id;
            other[at] ^= 1;
            assert_eq!(tickets.secret(&other).unwrap(), None, "byte {at}");
        }
    }

    #[test]
    fn without_any_ticket_given_out_none_is_good() {
        let (_folder, tickets) = tickets();
        assert_eq!(tickets.secret(&[0; 8]).unwrap(), None);
        assert_eq!(tickets.secret(&[0xff; 8]).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_generation_secret_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, tickets) = tickets();
        tickets.issue(Use::Lasting).unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(tickets.secret(&[0; 8]), Err(HomeError::TooOpen { .. })));
    }
}
