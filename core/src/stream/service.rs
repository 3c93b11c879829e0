//! The name of a service, with which each stream opens.

use heapless::String;

/// 1 to 32 bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Service(String<SERVICE_BYTES_MAX, u8>);

/// Longest name, in bytes.
pub const SERVICE_BYTES_MAX: usize = 32;

impl Service {
    /// `None` for a name that is empty or too long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        let mut service = String::new();
        service.push_str(name).ok()?;
        Some(Self(service))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
