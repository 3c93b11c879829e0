//! Ctrl-C: the first ends the command cleanly, the second at once. A request to terminate is the same.

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
            signals.next().await;
            press.send_replace(true);
            signals.next().await;
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
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
