//! The port of a node that waits for others: the one that its tickets name, so that they survive a restart. It is
//! remembered in the configuration folder, by each command that waits for itself.

use super::exit::{Code, Failure};
use super::report::Report;
use crate::endpoint::{BindError, Endpoint, EndpointConfig};
use crate::home::Home;
use crate::link::serial::SerialError;
use crate::serve;

/// What remembers the port of `recv`; once it was that of all commands.
const RECV: &str = "port";

/// Opens an endpoint at the remembered port, or if that is taken at another.
///
/// # Errors
/// When it cannot be opened, or its port cannot be remembered.
pub(super) async fn bind(
    mut config: EndpointConfig,
    home: &Home,
    report: &Report,
) -> Result<Endpoint, Failure> {
    let file = file_of(config.services);
    let own = home.read(file)?;
    let earlier = if own.is_none() { home.read(RECV)? } else { None };
    let is_own = own.is_some();
    let remembered = own.or(earlier).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    config.port = remembered;
    let bound = match Endpoint::bind(config.clone()).await {
        Err(BindError::PortTaken(_)) => {
            config.port = 0;
            Endpoint::bind(config).await
        }
        bound => bound,
    };
    let endpoint = bound?;
    // With serial lines alone there is no port.
    let port = endpoint.port();
    if port != 0 && (remembered == 0 || !is_own) {
        home.write(file, &format!("{port}\n"))?;
    } else if port != 0 && port != remembered {
        report.say(&format!(
            "port {remembered}, which tickets given out before name, is taken; this is port {port}, and those tickets do not lead here until {remembered} is free and this is started again"
        ));
    }
    Ok(endpoint)
}

fn file_of(services: &[&str]) -> &'static str {
    match services {
        [serve::protocol::SERVICE] => "port-serve",
        [super::bench::FIRST_SERVICE, ..] => "port-bench",
        _ => RECV,
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        let code = match error {
            BindError::UnknownLink(_)
            | BindError::Wish(_)
            | BindError::Serial(SerialError::SameName(_)) => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}
