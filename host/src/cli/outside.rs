//! Who asks a command from outside while it runs: `ropewalk ctl`, and Prometheus.

use super::exit::{Code, Failure};
use super::line::ServeLine;
use super::report::{Line, Report};
use crate::ctl;
use crate::home::Home;
use crate::metrics::{Metrics, Page};
use core::net::SocketAddr;
use std::io;
use tokio::sync::mpsc;

/// Gives numbers to Prometheus.
///
/// # Errors
/// When the address cannot be had.
pub(super) async fn give_numbers(
    address: SocketAddr,
    render: impl Fn() -> Page + Send + Sync + 'static,
) -> Result<Metrics, Failure> {
    Metrics::listen(address, render).await.map_err(|cause| {
        let text = match cause.kind() {
            io::ErrorKind::AddrInUse => format!(
                "port {} for metrics is taken on this machine; name another with --metrics",
                address.port()
            ),
            _ => format!("cannot give metrics at {address}: {cause}; name another with --metrics"),
        };
        Failure::new(Code::Failed, text)
    })
}

/// Says where the numbers are.
pub(super) fn tell_metrics(metrics: &Metrics, report: &Report) {
    let url = format!("http://{}/metrics", metrics.address());
    report.line(&Line::Serve(ServeLine::Metrics { url: &url }));
    report.say(&format!("metrics at {url}"));
}

/// What `ropewalk ctl` asks; nothing, where it cannot.
pub(super) fn be_asked(
    home: &Home,
    report: &Report,
) -> (Option<ctl::Guard>, Option<mpsc::Receiver<ctl::Asked>>) {
    match ctl::listen(home) {
        Ok((guard, asked)) => (Some(guard), Some(asked)),
        Err(cause) => {
            // On a system that has no such thing nobody misses it.
            if cause.kind() != io::ErrorKind::Unsupported {
                report.say(&format!(
                    "`ropewalk ctl` cannot ask this process: no socket in {cause}; all else works; set ROPEWALK_HOME to a folder where there can be one"
                ));
            }
            (None, None)
        }
    }
}

/// The next thing that is asked; never, if nobody can ask.
pub(super) async fn received(asked: &mut Option<mpsc::Receiver<ctl::Asked>>) -> ctl::Asked {
    if let Some(receiver) = asked
        && let Some(asked) = receiver.recv().await
    {
        return asked;
    }
    core::future::pending().await
}
