//! Fetching the sidecar beside a mirror: once, whole, to a nameless file.
//!
//! None being there is no trouble; one that cannot be used is as none, and is told. A mirror that is away is
//! looked at again when it is back, but if hashes came from elsewhere meanwhile nobody waits for this.

use super::Mirror;
use super::body::Body;
use super::facts::Facts;
use super::store::{Failure, Spot};
use crate::content::sidecar::{SidecarError, scratch};
use std::fs::File;
use std::io::{self, Write};

/// A longer sidecar is not fetched: this is one of 8 TiB, or of a folder of two million files. A longer one can be
/// fetched by hand and named as a source.
pub const SIDECAR_BYTES_MAX: u64 = 256 << 20;
/// So much is put into the file at once.
const WRITE_BYTES: usize = 256 << 10;

/// Learns what the sidecar tells, unless that is done.
pub(super) async fn look(mirror: &Mirror) -> Result<(), io::Error> {
    if mirror.lock().looked {
        return Ok(());
    }
    let spot = mirror.stores.as_ref().and_then(|stores| stores.sidecar.clone());
    let fetched = match spot {
        Some(spot) => fetch(mirror, &spot).await,
        None => Ok(None),
    };
    let trouble = match fetched {
        Ok(facts) => {
            facts.into_iter().for_each(|facts| mirror.know(facts));
            None
        }
        Err(Look::Failure(Failure::Missing(_))) => None,
        Err(Look::Failure(Failure::Busy(error))) => {
            let is_needed = mirror.lock().facts.is_empty();
            return if is_needed { Err(error) } else { Ok(()) };
        }
        Err(Look::Failure(Failure::Broken(error))) => Some(error.to_string()),
        Err(Look::Sidecar(error)) => Some(error.to_string()),
    };
    let mut known = mirror.lock();
    (known.looked, known.trouble) = (true, trouble);
    Ok(())
}

enum Look {
    Failure(Failure),
    Sidecar(SidecarError),
}

impl From<Failure> for Look {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Look {
    fn from(error: io::Error) -> Self {
        Self::Sidecar(error.into())
    }
}

async fn fetch(mirror: &Mirror, spot: &Spot) -> Result<Option<Facts>, Look> {
    let (length, mut body) = Body::open(spot, None).await?;
    if length > SIDECAR_BYTES_MAX {
        return Err(
            Failure::broken("the file of hashes beside it is too long: at most 256 MiB").into()
        );
    }
    let folder = mirror.scratch.clone();
    let mut file = blocking(move || scratch(&folder)).await?;
    let mut room = Vec::with_capacity(WRITE_BYTES);
    while let Some(bytes) = body.next().await? {
        room.extend_from_slice(&bytes);
        if room.len() >= WRITE_BYTES || body.left() == 0 {
            (file, room) = blocking(move || write(file, room)).await?;
        }
    }
    let opened = blocking(move || Ok(Facts::sidecar(file))).await?;
    opened.map(Some).map_err(Look::Sidecar)
}

fn write(mut file: File, mut room: Vec<u8>) -> io::Result<(File, Vec<u8>)> {
    file.write_all(&room)?;
    room.clear();
    Ok((file, room))
}

/// Does what blocks in a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
