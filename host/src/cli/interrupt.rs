//! Ctrl-C: the first ends the command cleanly, the second at once. A request to terminate is the same. The end of the terminal
//! (SIGHUP) ends it cleanly too, however often it is told of: a shell and the system both do. It means nothing if whoever
//! started the command said so (`nohup`).

use super::exit::{Code, Failure};
use std::io;
use tokio::sync::watch;

/// Tells whether the user has pressed Ctrl-C.
#[derive(Clone, Debug)]
pub struct Interrupt {
    pressed: watch::Receiver<bool>,
}

impl Interrupt {
    /// Begins to listen for it. To be called on a runtime.
    #[must_use]
    pub fn listen() -> Self {
        let (press, pressed) = watch::channel(false);
        // From this moment on: whoever reads our first line may press it at once.
        let signals = Signals::listen();
        tokio::spawn(async move {
            // Without a handler Ctrl-C ends the process, which is what then remains.
            let Ok(mut signals) = signals else { return core::future::pending().await };
            signals.end_of_terminal_or_pressed().await;
            press.send_replace(true);
            signals.pressed().await;
            super::terminal::restore();
            std::process::exit(Code::Interrupted as i32);
        });
        Self { pressed }
    }

    /// Waits until it is pressed.
    pub async fn pressed(&mut self) {
        if self.pressed.wait_for(|pressed| *pressed).await.is_err() {
            core::future::pending().await
        }
    }

    /// The end of a command that was interrupted.
    #[must_use]
    pub fn failure() -> Failure {
        Failure::new(Code::Interrupted, "interrupted")
    }
}

/// The signals that mean an orderly end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// Unless it is ignored.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match ignores_hangup() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn end_of_terminal_or_pressed(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(&mut self.hangup) => {}
        }
    }

    async fn pressed(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(unix)]
async fn hung_up(hangup: &mut Option<tokio::signal::unix::Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => core::future::pending().await,
    }
}

/// Whether SIGHUP is ignored here, as below `nohup`: to listen for it would end that. Where the system does not say, it is left
/// as it is.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| ignored(&status) & 1 == 1)
}

/// The signals that are ignored, the first one in the lowest bit; all, if it does not say.
#[cfg(unix)]
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX)
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn end_of_terminal_or_pressed(&mut self) {
        self.pressed().await;
    }

    async fn pressed(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn ignored_signals_are_read_as_the_system_writes_them() {
        use super::ignored;
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored("SigIgn:\t0000000000001000\n") & 1, 0);
        assert_eq!([ignored(""), ignored("SigIgn:\tx\n")], [u64::MAX; 2]);
    }
}
