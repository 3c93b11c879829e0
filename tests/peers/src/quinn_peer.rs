//! quinn: one path, its defaults.

use crate::{Job, certificate, connected, stream, tally, waiting};
use anyhow::{Context, Result};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Plays one side to its end.
pub(crate) async fn play(job: &Job) -> Result<()> {
    if job.sink { sink(job).await } else { source(job).await }
}

async fn sink(job: &Job) -> Result<()> {
    let tls = QuicServerConfig::try_from(certificate::sink()?)?;
    let config = ServerConfig::with_crypto(Arc::new(tls));
    let endpoint =
        Endpoint::server(config, SocketAddr::from((Ipv4Addr::UNSPECIFIED, job.at[0].port())))?;
    waiting(job);
    let connection = endpoint.accept().await.context("nobody came")?.await?;
    let bulk = tally::Bulk::new();
    connected();
    let mut receiving = connection.accept_uni().await?;
    stream::sink(&mut receiving, job.workload, bulk).await?;
    connection.close(0_u8.into(), b"");
    endpoint.wait_idle().await;
    Ok(())
}

async fn source(job: &Job) -> Result<()> {
    let tls = QuicClientConfig::try_from(certificate::source()?)?;
    let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(tls)));
    let connection = endpoint.connect(job.at[0], "sink")?.await?;
    connected();
    let mut sending = connection.open_uni().await?;
    stream::source(&mut sending, job.workload).await?;
    sending.finish()?;
    // The sink closes once it has everything.
    connection.closed().await;
    endpoint.wait_idle().await;
    Ok(())
}
