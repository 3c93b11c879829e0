//! Ctrl-C: the first ends the command cleanly, the second at once.

use super::exit::{Code, Failure};
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
            if tokio::signal::ctrl_c().await.is_err() {
                return core::future::pending().await;
            }
            press.send_replace(true);
            if tokio::signal::ctrl_c().await.is_ok() {
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
