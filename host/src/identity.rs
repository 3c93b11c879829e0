//! This node's identity: an X25519 secret, made on first use and kept in the configuration folder
//! in a file that only its owner may read. The public key that belongs to it is the node's name.

use crate::base32;
use crate::home::{Home, HomeError};
use crate::random;
use core::fmt;
use ropewalk_core::id::PublicKey;
use std::io::Read;
use std::path::Path;

const FILE: &str = "identity.key";
/// A file with a secret is not longer.
const SECRET_TEXT_MAX: u64 = 128;

/// An X25519 secret and its public key.
#[derive(Clone)]
pub struct Identity {
    secret: [u8; 32],
    public: PublicKey,
}

impl Identity {
    /// The identity kept in `home`; made, if this is its first use.
    ///
    /// # Errors
    /// When the key's file cannot be read or made, can be read by others, or is damaged.
    pub fn load_or_create(home: &Home) -> Result<Self, HomeError> {
        Self::in_file(home, FILE)
    }

    /// The identity kept in the file `path`; made, if there is none.
    ///
    /// # Errors
    /// As [`Identity::load_or_create`].
    pub fn load_or_create_at(path: &Path) -> Result<Self, HomeError> {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::in_file(&Home::at(folder), &name)
    }

    /// Whether a node's secret is kept in this folder: it is a home, and not for others.
    #[must_use]
    pub fn is_kept_in(folder: &Path) -> bool {
        let file = folder.join(FILE);
        let is_short = |file: std::fs::Metadata| file.is_file() && file.len() <= SECRET_TEXT_MAX;
        if !std::fs::symlink_metadata(&file).is_ok_and(is_short) {
            return false;
        }
        let mut text = String::new();
        let read = std::fs::File::open(&file)
            .and_then(|file| file.take(SECRET_TEXT_MAX).read_to_string(&mut text));
        read.is_ok() && base32::decode(text.trim()).is_ok_and(|secret| secret.len() == 32)
    }

    fn in_file(home: &Home, file: &str) -> Result<Self, HomeError> {
        let text = match home.read_secret(file)? {
            Some(text) => text,
            None => home.create_secret(file, &(base32::encode(&random::bytes::<32>()) + "\n"))?,
        };
        let damaged = |what: String| HomeError::Damaged { path: home.path(file), what };
        let bytes = base32::decode(text.trim()).map_err(|error| damaged(error.to_string()))?;
        let length = bytes.len();
        let secret =
            bytes.try_into().map_err(|_| damaged(format!("it holds {length} bytes, not 32")))?;
        Ok(Self::from_secret(secret))
    }

    /// An identity that is kept nowhere.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self::from_secret(random::bytes())
    }

    /// The identity with this secret.
    #[must_use]
    pub fn from_secret(secret: [u8; 32]) -> Self {
        let public = x25519_dalek::x25519(secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        Self { secret, public: PublicKey(public) }
    }

    /// The node's name.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret, for the handshake alone.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        (folder, home)
    }

    #[test]
    fn an_identity_lasts() {
        let (_folder, home) = home();
        let first = Identity::load_or_create(&home).unwrap();
        let second = Identity::load_or_create(&home).unwrap();
        assert_eq!(first.public(), second.public());
        assert_ne!(first.public(), Identity::ephemeral().public());
    }

    #[test]
    fn the_public_key_is_that_of_rfc_7748_section_5_2() {
        let mut nine = [0; 32];
        nine[0] = 9;
        let hex = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
        let expected =
            core::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap());
        assert_eq!(Identity::from_secret(nine).public(), PublicKey(expected));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_fix() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, home) = home();
        Identity::load_or_create(&home).unwrap();
        let mode =
            |mode| std::fs::set_permissions(home.path(FILE), PermissionsExt::from_mode(mode));
        let metadata = std::fs::metadata(home.path(FILE)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        mode(0o644).unwrap();
        let error = Identity::load_or_create(&home).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        mode(0o600).unwrap();
        Identity::load_or_create(&home).unwrap();
    }

    #[test]
    fn a_damaged_key_is_named_and_left_alone() {
        let (_folder, home) = home();
        home.write(FILE, "abc!").unwrap();
        let error = Identity::load_or_create(&home).unwrap_err();
        assert!(matches!(error, HomeError::Damaged { .. }), "{error}");
        assert_eq!(home.read(FILE).unwrap().as_deref(), Some("abc!"));
    }
}
