//! Keys as they are pressed: the terminal on standard input without lines and echo, and as it was before at
//! the end, however that comes: dropped, by a panic, by a second Ctrl-C, or by a request to quit (SIGQUIT). A process that was
//! stopped and goes on (Ctrl-Z, `fg`) finds it as whoever had it meanwhile left it, and sets it again.
//!
//! Signals and output stay as they are: Ctrl-C is still Ctrl-C.

use tokio::sync::mpsc;

/// Keys that wait to be looked at; more are nobody's.
const KEYS_MAX: usize = 16;

/// The keys that are pressed, until it is dropped.
#[derive(Debug)]
pub struct Keys {
    pressed: mpsc::Receiver<u8>,
}

impl Keys {
    /// Listens, on a runtime, if standard input is a terminal and this process stands in its foreground.
    #[must_use]
    pub fn listen() -> Option<Self> {
        // Before the terminal is changed: a signal may come at once.
        let signals = raw::Signals::listen().ok()?;
        if !raw::enter() {
            return None;
        }
        let (press, pressed) = mpsc::channel(KEYS_MAX);
        // It waits for a key for ever, and nobody waits for it.
        std::thread::spawn(move || {
            use std::io::Read;
            for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if let Err(mpsc::error::TrySendError::Closed(_)) = press.try_send(key) {
                    return;
                }
            }
        });
        // For as long as the process runs: nobody else would hear of a request to quit afterwards.
        tokio::spawn(raw::watch(signals));
        Some(Self { pressed })
    }

    /// The next key; never, when there will be none.
    pub async fn next(&mut self) -> u8 {
        match self.pressed.recv().await {
            Some(key) => key,
            None => core::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was, if it was changed. To be called before a process ends without unwinding.
pub fn restore() {
    raw::leave();
}

#[cfg(unix)]
mod raw {
    use rustix::process::{Signal, getpgrp};
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp,
        tcsetattr,
    };
    use std::io::{self, stdin};
    use std::sync::{Mutex, Once, PoisonError};
    use tokio::signal::unix::{SignalKind, signal};

    /// What the terminal was, as long as it is something else.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
    static HOOK: Once = Once::new();

    /// A process in the background that changes the terminal is stopped.
    fn is_in_foreground() -> bool {
        isatty(stdin()) && tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
    }

    pub(super) fn enter() -> bool {
        if !is_in_foreground() {
            return false;
        }
        let Ok(before) = tcgetattr(stdin()) else { return false };
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                next(panic);
            }));
        });
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before.clone());
        let entered = set(before);
        if !entered {
            leave();
        }
        entered
    }

    fn set(mut now: Termios) -> bool {
        now.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &now).is_ok()
    }

    /// Sets it again, if it was left to nobody meanwhile.
    fn enter_again() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_some()
            && is_in_foreground()
            && let Ok(now) = tcgetattr(stdin())
        {
            set(now);
        }
    }

    /// The signals after which the terminal is looked after.
    pub(super) struct Signals {
        goes_on: tokio::signal::unix::Signal,
        quit: tokio::signal::unix::Signal,
    }

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            let goes_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
            Ok(Self { goes_on, quit: signal(SignalKind::quit())? })
        }
    }

    /// Looks after it as long as the process runs.
    pub(super) async fn watch(mut signals: Signals) {
        loop {
            tokio::select! {
                Some(()) = signals.goes_on.recv() => enter_again(),
                Some(()) = signals.quit.recv() => {
                    leave();
                    // As a shell says of who was ended by this signal.
                    std::process::exit(128 + Signal::QUIT.as_raw());
                }
                else => return,
            }
        }
    }

    pub(super) fn leave() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before.filter(|_| is_in_foreground()) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

/// Elsewhere keys need Enter, so there are none.
#[cfg(not(unix))]
mod raw {
    pub(super) const fn enter() -> bool {
        false
    }

    pub(super) const fn leave() {}

    pub(super) struct Signals;

    impl Signals {
        pub(super) const fn listen() -> std::io::Result<Self> {
            Ok(Self)
        }
    }

    pub(super) async fn watch(_signals: Signals) {}
}
