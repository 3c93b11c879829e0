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
        tokio::spawn(async move {
            // Without a handler Ctrl-C ends the process, which is what then remains.
            if signal().await.is_err() {
                return core::future::pending().await;
            }
            press.send_replace(true);
            if signal().await.is_ok() {
                std::process::exit(Code::Interrupted as i32);
            }
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

/// Waits for one of the signals that mean an orderly end.
async fn signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
