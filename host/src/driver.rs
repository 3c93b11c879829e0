//! The one task that moves a connection on: sends what it has, takes in what happened, and sleeps
//! until there is more.

use crate::connection::{CloseReason, Shared, State};
use crate::endpoint::Inner;
use crate::link::socket::RUN_BYTES_MAX;
use core::time::Duration;
use ropewalk_core::connection::Transmit;
use ropewalk_core::id::ConnectionId;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, sleep_until};

/// Drives a connection to its end.
pub(crate) async fn drive(shared: Arc<Shared>, endpoint: Arc<Inner>, id: ConnectionId) {
    let mut reported = Instant::now();
    let mut rest = Rest::default();
    loop {
        transmit(&shared, &endpoint).await;
        shared.wake_openers();
        if reported.elapsed() >= REPORT_INTERVAL {
            endpoint.deal_quotas();
        }
        let (timeout, drained) = {
            let mut state = shared.lock();
            let wish = state.core.wants_memory();
            if state.core.storage_mut().grow(wish) {
                shared.wake();
            }
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                shared.publish(&state);
            }
            let release = rest.look(&mut state);
            let timeout =
                state.core.poll_timeout().map(|at| Instant::from_std(shared.clock.at(at)));
            (timeout.into_iter().chain(release).min(), state.core.is_drained())
        };
        if drained {
            break;
        }
        match timeout {
            Some(moment) => {
                tokio::select! {
                    () = shared.woken() => {}
                    () = sleep_until(moment) => {}
                }
            }
            None => shared.woken().await,
        }
    }
    endpoint.forget(id);
    let reason = shared.lock().over().cloned();
    shared.closed.send_replace(Some(reason.unwrap_or(CloseReason::Idle)));
}

/// A connection that holds nothing for a while gives its memory back.
#[derive(Default)]
struct Rest {
    since: Option<Instant>,
    released: bool,
}

impl Rest {
    /// Returns when to look again.
    fn look(&mut self, state: &mut State) -> Option<Instant> {
        if !state.core.holds_nothing() {
            *self = Self::default();
            return None;
        }
        let due = *self.since.get_or_insert_with(Instant::now) + REST;
        if !self.released && due <= Instant::now() {
            self.released = true;
            if state.core.forget_memory() {
                state.core.storage_mut().renew();
            }
        }
        (!self.released).then_some(due)
    }
}

/// Sends all that may go now. The buffer is borrowed: an idle connection needs none.
async fn transmit(shared: &Shared, endpoint: &Inner) {
    let mut buffer = endpoint.buffers.take();
    while let Some(transmit) = next_transmit(shared, &mut buffer) {
        let Some(run) = buffer.get(..transmit.len) else { break };
        endpoint.send(&transmit, run).await;
    }
    endpoint.buffers.put_back(buffer);
}

/// The next run of packets, once what is due by now is done. What happens on the way is told at
/// once: the core remembers only the newest of some events.
fn next_transmit(shared: &Shared, buffer: &mut [u8]) -> Option<Transmit> {
    let mut state = shared.lock();
    let now = shared.clock.now();
    if state.core.poll_timeout().is_some_and(|moment| moment <= now) {
        state.core.handle_timeout(now);
    }
    let transmit = state.core.poll_transmit(buffer, now);
    state.handle_events(shared);
    transmit
}

/// Buffers to write runs of packets into, as many as there are connections that send at once.
#[derive(Default)]
pub(crate) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    fn put_back(&self, buffer: Vec<u8>) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// The longest run of packets: as much as the system takes in one call. 16 packets in a call instead
/// take a quarter more processor time, 32 a few percent.
const BUFFER_BYTES: usize = RUN_BYTES_MAX;
/// How long a connection must hold nothing.
const REST: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
