//! noq: a path to each of the sink's addresses, all of them of equal standing, its defaults else.

use crate::{Job, certificate, connected, stream, tally, waiting};
use anyhow::{Context, Result, bail};
use noq::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use noq::{ClientConfig, Connection, Endpoint, FourTuple, PathStatus, ServerConfig};
use noq::{PathError, TransportConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Plays one side to its end.
pub(crate) async fn play(job: &Job) -> Result<()> {
    if job.sink { sink(job).await } else { source(job).await }
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.max_concurrent_multipath_paths(PATHS_MAX);
    Arc::new(config)
}

async fn sink(job: &Job) -> Result<()> {
    let tls = QuicServerConfig::try_from(certificate::sink()?)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport());
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, job.at[0].port()));
    let endpoint = Endpoint::server(config, everywhere)?;
    waiting(job);
    let connection = endpoint.accept().await.context("nobody came")?.await?;
    let bulk = tally::Bulk::new();
    connected();
    let mut receiving = connection.accept_uni().await?;
    stream::sink(&mut receiving, job.workload, bulk).await?;
    connection.close(0_u8.into(), b"");
    endpoint.wait_all_draining().await;
    Ok(())
}

async fn source(job: &Job) -> Result<()> {
    let tls = QuicClientConfig::try_from(certificate::source()?)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport());
    let endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(job.at[0], "sink")?.await?;
    connected();
    let mut sending = connection.open_uni().await?;
    // While data flows already, as the other transports do it.
    let paths = tokio::spawn({
        let (connection, further) = (connection.clone(), job.at[1..].to_vec());
        async move { open_paths(&connection, &further).await }
    });
    stream::source(&mut sending, job.workload).await?;
    sending.finish()?;
    // The sink closes once it has everything.
    connection.closed().await;
    paths.abort();
    endpoint.wait_all_draining().await;
    Ok(())
}

async fn open_paths(connection: &Connection, further: &[SocketAddr]) -> Result<()> {
    for address in further {
        loop {
            let path = FourTuple::from_remote(*address);
            match connection.open_path(path, PathStatus::Available).await {
                Ok(_) => break,
                // The peer's identifiers for further paths have not come yet.
                Err(PathError::RemoteCidsExhausted) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => {
                    eprintln!("no path to {address}: {error}");
                    bail!(error);
                }
            }
        }
    }
    Ok(())
}

const PATHS_MAX: u32 = 8;
