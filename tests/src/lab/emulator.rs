//! The thread of one link: it moves frames between two TAP devices and sleeps in between.
//!
//! ```text
//!   loop: take new orders -> read what either device has -> write what is due -> sleep until
//!         a device has a frame, the next frame is due, or an order comes
//! ```
//!
//! Sleeping is `ppoll` with a timeout in nanoseconds and the least timer slack, and a turn lasts at
//! least `TURN`, so that a busy link wakes nobody for a single frame. Late by that much as it may
//! be, the rate is exact, since [`Pipe`] counts departures on its own clock. 300 Mbit/s take half a core.

use super::Node;
use super::link::{Shape, Stats};
use super::pipe::Pipe;
use super::tap::FRAME_BYTES_MAX;
use core::num::NonZeroU64;
use core::time::Duration;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a link's handle and its thread share.
#[derive(Debug)]
pub struct Control {
    state: Mutex<State>,
    wake: OwnedFd,
}

#[derive(Debug)]
struct State {
    shapes: [Shape; 2],
    stats: [Stats; 2],
    changed: bool,
    stop: bool,
}

impl Control {
    /// Orders for a link of these shapes.
    ///
    /// # Errors
    /// If the kernel has no more descriptors.
    pub fn new(shapes: [Shape; 2]) -> io::Result<Self> {
        let state = State { shapes, stats: [Stats::default(); 2], changed: false, stop: false };
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { state: Mutex::new(state), wake })
    }

    /// Changes the shapes, from A and from B.
    pub fn change(&self, change: impl FnOnce(&mut [Shape; 2])) {
        let mut state = self.lock();
        change(&mut state.shapes);
        state.changed = true;
        drop(state);
        self.wake();
    }

    /// What happened to the frames that left `from`.
    #[must_use]
    pub fn stats(&self, from: Node) -> Stats {
        self.lock().stats[from.index()]
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.wake();
    }

    fn wake(&self) {
        // Fails only if the counter is full, and then the thread has been woken already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a link until it is told to stop. `devices` are those of A and of B.
pub fn run(devices: &[OwnedFd; 2], control: &Control, seed: u64) {
    // Without this the kernel may wake us 50 us late, which is half a frame at 100 Mbit/s.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let clock = Clock(Instant::now());
    let shapes = control.lock().shapes;
    let mut pipes = [Pipe::new(shapes[0], seed << 1), Pipe::new(shapes[1], seed << 1 | 1)];
    // Whether a device may have a frame for us; `None` once it is gone.
    let mut ready = [Some(true); 2];
    loop {
        let turn = Instant::now();
        if !take_orders(control, &mut pipes, &clock) {
            return;
        }
        for (from, pipe) in pipes.iter_mut().enumerate() {
            if ready[from] == Some(true) {
                ready[from] = read_frames(&devices[from], pipe, &clock);
            }
        }
        for (from, pipe) in pipes.iter_mut().enumerate() {
            let now = clock.now();
            while let Some(frame) = pipe.leave(now) {
                // An interface that is down or gone takes nothing, as a real one would.
                let _ = rustix::io::write(&devices[1 - from], frame);
            }
        }
        sleep(turn, devices, &mut ready, control, &pipes, &clock);
    }
}

/// Publishes the counters and takes over new shapes. `false`: it is time to end.
fn take_orders(control: &Control, pipes: &mut [Pipe; 2], clock: &Clock) -> bool {
    let mut state = control.lock();
    state.stats = [pipes[0].stats(), pipes[1].stats()];
    if core::mem::take(&mut state.changed) {
        let now = clock.now();
        for (pipe, shape) in pipes.iter_mut().zip(state.shapes) {
            pipe.set_shape(shape, now);
        }
    }
    !state.stop
}

/// Reads what the device has, but not for ever: the other direction waits. Gives whether there may
/// be more, or `None` if the device is gone.
fn read_frames(device: &OwnedFd, pipe: &mut Pipe, clock: &Clock) -> Option<bool> {
    let mut frame = [0; FRAME_BYTES_MAX];
    for _ in 0..FRAMES_PER_TURN {
        match rustix::io::read(device, &mut frame) {
            Ok(len) => pipe.enter(&frame[..len], clock.now()),
            Err(Errno::INTR) => {}
            // With EIO it is down, but there: it may come up again.
            Err(Errno::AGAIN | Errno::IO) => return Some(false),
            Err(_) => return None,
        }
    }
    Some(true)
}

/// Sleeps to the end of the turn and until there is something to do, and notes which devices have a frame.
fn sleep(
    turn: Instant,
    devices: &[OwnedFd; 2],
    ready: &mut [Option<bool>; 2],
    control: &Control,
    pipes: &[Pipe; 2],
    clock: &Clock,
) {
    // A device that is gone would report an error at once, for ever.
    let device = |end: usize| if ready[end].is_some() { &devices[end] } else { &control.wake };
    let mut waits = [
        PollFd::new(device(0), PollFlags::IN),
        PollFd::new(device(1), PollFlags::IN),
        PollFd::new(&control.wake, PollFlags::IN),
    ];
    std::thread::sleep(TURN.saturating_sub(turn.elapsed()));
    let due = pipes.iter().filter_map(Pipe::next_due).min();
    let timeout = due.map(|due| due.saturating_sub(clock.now())).map(|nanos| Timespec {
        tv_sec: (nanos / 1_000_000_000).cast_signed(),
        tv_nsec: (nanos % 1_000_000_000).cast_signed(),
    });
    let _ = poll(&mut waits, timeout.as_ref());
    let woken = waits.map(|wait| !wait.revents().is_empty());
    for (ready, woken) in ready.iter_mut().zip(woken) {
        *ready = ready.map(|more| more || woken);
    }
    if woken[2] {
        let _ = rustix::io::read(&control.wake, &mut [0; 8]);
    }
}

struct Clock(Instant);

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The least length of a turn: the time of a full frame at 121 Mbit/s.
const TURN: Duration = Duration::from_micros(100);
/// A device is not read for longer than this while others wait.
const FRAMES_PER_TURN: usize = 64;
