//! Who is connected. **A peer that comes again while its earlier connection is mute was killed, or
//! cut off for good**: that connection is closed soon, not only after the idle timeout, so that the
//! new one can take up what it held.
//!
//! ```text
//!   comes again ──heard on the earlier connection──▶ both go on: two commands of one person
//!        │
//!        └──not heard on it for 2 s──▶ it is closed, and its end is waited for
//! ```
//!
//! A peer that lives is heard about once a second, whether it sends or not.

use super::session::{KEEP_ALIVE, close_code};
use crate::connection::{CloseReason, Connection};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Two signs of life are missing then.
const MUTE: Duration = KEEP_ALIVE.saturating_mul(2);
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what was closed may take to let go of its files.
const END_TIME: Duration = Duration::from_secs(5);

/// Everybody who is connected.
#[derive(Clone, Default)]
pub struct Callers(Arc<Mutex<Vec<Caller>>>);

#[derive(Clone)]
struct Caller {
    connection: Connection,
    /// Its other half is dropped when all is done with the connection.
    here: watch::Receiver<()>,
}

impl Callers {
    /// One more. It is here until the [`Call`] is dropped.
    pub fn enter(&self, connection: &Connection) -> Call {
        let (guard, here) = watch::channel(());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = open.iter().filter(|caller| caller.connection.peer() == connection.peer());
        let earlier = earlier.cloned().collect();
        open.push(Caller { connection: connection.clone(), here });
        Call { came: Instant::now(), earlier, callers: self.clone(), guard: Some(guard) }
    }
}

/// Somebody's being here.
pub struct Call {
    came: Instant,
    /// Connections of the same peer that were here before.
    earlier: Vec<Caller>,
    callers: Callers,
    guard: Option<watch::Sender<()>>,
}

impl Call {
    /// Waits until each earlier connection of this peer was heard again, or is done with.
    pub async fn earlier_settled(&mut self) {
        for Caller { connection, mut here } in self.earlier.drain(..) {
            let mut ended = async || while here.changed().await.is_ok() {};
            tokio::select! {
                () = ended() => continue,
                heard = heard_since(self.came, &connection) => if heard { continue },
            }
            connection.close(close_code::REPLACED, "the peer came again");
            let _ = timeout(END_TIME, ended()).await;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut open = self.callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|caller| caller.here.has_changed().is_ok());
    }
}

/// Whether the peer says anything on it, [`MUTE`] after `came` at the latest.
async fn heard_since(came: Instant, connection: &Connection) -> bool {
    while connection.silence() >= came.elapsed() {
        if came.elapsed() >= MUTE {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}

/// Whether the connection ended since its peer came again.
pub async fn was_replaced(connection: &Connection) -> bool {
    let closed = timeout(Duration::ZERO, connection.closed()).await;
    matches!(closed, Ok(CloseReason::Local { code: close_code::REPLACED }))
}
