//! The stores behind a mirror, and what their errors mean.
//!
//! ```text
//! Address ── HTTP ──> HttpStore ──┐
//!         └─ S3 ────> AmazonS3 ───┴── Guard ──> the wire
//! ```
//!
//! Both stand on one seam of the library: each answer passes a guard that looks at its first line before anybody reads on. An
//! answer that says no has a body of any length, which is not read; one that ignores the range is the
//! whole file, which was not asked for. Nothing is tried twice here: that is for whoever drives the source.

use super::address::{Address, HttpUrl, Kind};
use crate::serve::protocol::Reason;
use crate::transfer::safe_path::SafePath;
use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, Error, ObjectStore, RetryConfig};
use std::io;
use std::sync::{Arc, Once};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An object in a store.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
}

/// The places of a mirror.
#[derive(Clone, Debug)]
pub(super) struct Stores {
    /// The file itself.
    pub(super) item: Spot,
    /// What the names of a folder's files are put behind.
    folder: Spot,
    /// Where the sidecar would be.
    pub(super) sidecar: Option<Spot>,
}

impl Stores {
    /// Those of `address`; settings of S3 are `variables` as `AWS_ENDPOINT`. Nobody is asked anything yet.
    pub(super) fn of(
        address: &Address,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        provide_tls();
        match &address.kind {
            Kind::Http(url) => http(url),
            Kind::S3 { bucket, key } => Self::within(s3(bucket, variables)?, key),
        }
    }

    /// Those in any store, of the object or the folder of this key.
    pub(super) fn within(store: Arc<dyn ObjectStore>, key: &str) -> Result<Self, Error> {
        let spot =
            |key: &str| Ok::<_, Error>(Spot { store: store.clone(), path: Path::parse(key)? });
        let sidecar = spot(&format!("{key}{}", crate::content::sidecar::SUFFIX))?;
        Ok(Self { item: spot(key)?, folder: spot(key)?, sidecar: Some(sidecar) })
    }

    /// Where a file of the folder is. `None` if it has a name that the library does not put into a URL: one with a line break or the like.
    pub(super) fn inside(&self, path: &SafePath) -> Option<Spot> {
        let Spot { store, path: folder } = &self.folder;
        let path = Path::parse(format!("{folder}/{path}")).ok()?;
        Some(Spot { store: store.clone(), path })
    }
}

fn http(url: &HttpUrl) -> Result<Stores, Error> {
    let options = options().with_allow_http(url.is_plain());
    // One for all, so that connections are used again.
    let client = Guarded::default().connect(&options)?;
    let spot = |url: String| {
        let builder = HttpBuilder::new().with_url(url).with_client_options(options.clone());
        let builder = builder.with_retry(once()).with_http_connector(Shared(client.clone()));
        Ok::<_, Error>(Spot { store: Arc::new(builder.build()?), path: Path::default() })
    };
    let sidecar = url.sidecar().map(spot).transpose()?;
    Ok(Stores { item: spot(url.item())?, folder: spot(url.folder())?, sidecar })
}

fn s3(
    bucket: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut allow_http = false;
    let mut builder = AmazonS3Builder::new();
    for (name, value) in variables.filter(|(name, _)| name.starts_with("AWS_")) {
        let name = name.to_ascii_lowercase();
        allow_http |= name == "aws_allow_http" && value.eq_ignore_ascii_case("true");
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let options = options().with_allow_http(allow_http);
    let builder = builder.with_client_options(options).with_retry(once());
    let builder = builder.with_http_connector(Guarded::default()).with_bucket_name(bucket);
    Ok(Arc::new(builder.build()?))
}

/// Time limits beside that of the connection are those of [`super::body`], which do not count while nobody wants to read.
fn options() -> ClientOptions {
    ClientOptions::new()
        .with_config(ClientConfigKey::UserAgent, concat!("ropewalk/", env!("CARGO_PKG_VERSION")))
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout_disabled()
}

fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Tells TLS whose cryptography it uses, unless the program has.
fn provide_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// Connects, and guards what comes.
#[derive(Debug, Default)]
struct Guarded(ReqwestConnector);

impl HttpConnector for Guarded {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient, Error> {
        Ok(HttpClient::new(Guard(self.0.connect(options)?)))
    }
}

/// What connected once.
#[derive(Debug)]
struct Shared(HttpClient);

impl HttpConnector for Shared {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient, Error> {
        Ok(self.0.clone())
    }
}

/// Lets through what was asked for.
#[derive(Debug)]
struct Guard(HttpClient);

impl HttpService for Guard {
    fn call<'s, 'a>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        let is_get = request.method().as_str() == "GET";
        let has_range = request.headers().contains_key("range");
        Box::pin(async move {
            let answer = self.0.execute(request).await?;
            match answer.status().as_u16() {
                200 if has_range => Err(odd(Odd::NoRanges)),
                status @ 400.. if is_get => Err(odd(Odd::Status(status))),
                200..300 => Ok(answer),
                _ => Ok(answer.map(|_| Vec::new().into())),
            }
        })
    }
}

/// What the guard stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    NoRanges,
    Status(u16),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRanges => f.write_str("the server gives whole files only, and no part of one"),
            Self::Status(status) => write!(f, "the server answers with status {status}"),
        }
    }
}

impl core::error::Error for Odd {}

fn odd(odd: Odd) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, odd)
}

/// Why bytes do not come.
#[derive(Debug)]
pub(super) enum Failure {
    /// They are not to be had, now or later.
    Missing(Reason),
    /// The server does what it should not, and had better not be asked again soon.
    Broken(io::Error),
    /// They may come another time: the server is away, or has too much to do.
    Busy(io::Error),
}

impl Failure {
    pub(super) fn broken(why: &'static str) -> Self {
        Self::Broken(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut transport = None;
        let mut text = String::new();
        let mut cause: Option<&(dyn core::error::Error + 'static)> = Some(&error);
        while let Some(at) = cause {
            if let Some(odd) = at.downcast_ref::<Odd>() {
                return odd.into();
            }
            if let Some(error) = at.downcast_ref::<HttpError>() {
                transport = Some(error.kind());
            }
            // The innermost says what happened, and nothing of the URL.
            text = at.to_string();
            cause = at.source();
        }
        match (error, transport) {
            (Error::NotFound { .. }, _) => Self::Missing(Reason::Unknown),
            (Error::InvalidPath { .. }, _) => Self::Missing(Reason::Unknown),
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
                Self::Missing(Reason::Unreadable)
            }
            (_, Some(kind)) => Self::Busy(io::Error::new(io_kind(kind), text)),
            // What the library made of an answer that it understood: another range, no length.
            (_, None) => Self::Broken(io::Error::new(io::ErrorKind::InvalidData, text)),
        }
    }
}

impl From<&Odd> for Failure {
    fn from(odd: &Odd) -> Self {
        match *odd {
            Odd::NoRanges => Self::Broken(io::Error::new(io::ErrorKind::Unsupported, *odd)),
            Odd::Status(404 | 405 | 410) => Self::Missing(Reason::Unknown),
            Odd::Status(401 | 403) => Self::Missing(Reason::Unreadable),
            // The range lies beyond its end.
            Odd::Status(416) => Self::Missing(Reason::Changed),
            Odd::Status(_) => Self::Busy(io::Error::other(*odd)),
        }
    }
}

const fn io_kind(kind: HttpErrorKind) -> io::ErrorKind {
    match kind {
        HttpErrorKind::Connect => io::ErrorKind::NotConnected,
        HttpErrorKind::Timeout => io::ErrorKind::TimedOut,
        HttpErrorKind::Interrupted | HttpErrorKind::Request => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::Other,
    }
}
