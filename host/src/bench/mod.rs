//! Measurements, each over one stream of a service of its own: [`bulk`] counts what arrives in which
//! time, [`messages`] how late each message is, [`echo`] what comes back.
//!
//! The receiver's clock counts: a sender only knows what it handed to its system. So at the end of the
//! stream the receiver says what it saw, and both ends tell the same. What goes over the streams is
//! [`ropewalk_core::application::bench`]'s: boards say the same.

pub mod bulk;
pub mod clocks;
pub mod echo;
pub mod messages;

use crate::transfer::TransferError;
use ropewalk_core::application::bench::OUTCOME_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The receiver's word.
async fn tell(
    outcome: &impl Serialize,
    mut to: impl AsyncWrite + Unpin,
) -> Result<(), TransferError> {
    let mut room = [0; OUTCOME_BYTES_MAX];
    let word =
        postcard::to_slice(outcome, &mut room).map_err(|_| TransferError::Protocol("no room"))?;
    to.write_all(word).await.map_err(TransferError::Lost)?;
    // A sender that has heard this may hang up before we hear that it has.
    let _ = to.shutdown().await;
    Ok(())
}

async fn hear<T: DeserializeOwned>(from: impl AsyncRead + Unpin) -> Result<T, TransferError> {
    let mut word = Vec::new();
    from.take(OUTCOME_BYTES_MAX as u64)
        .read_to_end(&mut word)
        .await
        .map_err(TransferError::Lost)?;
    if word.is_empty() {
        return Err(TransferError::Lost(io::ErrorKind::UnexpectedEof.into()));
    }
    postcard::from_bytes(&word)
        .map_err(|_| TransferError::Protocol("the measurement's outcome is none"))
}

/// Bytes that no link compresses.
fn noise(len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}
