//! Numbers for Prometheus: a page in its text format, and an HTTP server that gives away nothing else.
//!
//! ```text
//!  GET /metrics ──> render() ──> Page ──> # HELP ropewalk_serve_bytes_total Bytes of content and hashes
//!                                         # TYPE ropewalk_serve_bytes_total counter
//!                                         ropewalk_serve_bytes_total{server="1"} 1048576
//! ```
//!
//! The page is made anew for each request by whoever has the numbers. The server reads a request's head, at most
//! [`HEAD_BYTES_MAX`] of it within [`REQUEST_TIME`], of [`CONNECTIONS_MAX`] at once, answers, and closes the connection. It knows no
//! encryption and asks nobody who he is: it belongs on the loopback interface, or behind something that does.

use core::fmt::{self, Write};
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Most bytes of a request up to the blank line.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long a request may take to come, and an answer to go.
pub const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Most requests at once; more wait.
pub const CONNECTIONS_MAX: usize = 8;
/// How long to wait when the system lets nobody in.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is as it is now.
    Gauge,
}

/// A page of numbers, in the text format of Prometheus (version 0.0.4).
#[derive(Clone, Debug, Default)]
pub struct Page {
    text: String,
}

/// The numbers of one name on a [`Page`].
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Page {
    /// A name and what stands below it. `name`: letters, digits and underscores. Each name once on a page.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = escaped(help, false);
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { page: self, name }
    }

    /// Its text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A number, told from the others of its name by these labels, each a name and a value.
    pub fn number(
        &mut self,
        labels: &[(&str, &dyn fmt::Display)],
        number: impl Into<Number>,
    ) -> &mut Self {
        let text = &mut self.page.text;
        text.push_str(self.name);
        for (nth, (name, value)) in labels.iter().enumerate() {
            let before = if nth == 0 { '{' } else { ',' };
            let _ = write!(text, "{before}{name}=\"{}\"", escaped(&value.to_string(), true));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = match number.into() {
            Number::Whole(number) => writeln!(text, " {number}"),
            Number::Real(number) => writeln!(text, " {number:?}"),
        };
        self
    }
}

/// A whole number is written without a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of bytes, of clients.
    Whole(u64),
    /// Of seconds.
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Number {
    fn from(holds: bool) -> Self {
        Self::Whole(holds.into())
    }
}

fn escaped(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

/// As long as it is there, requests are answered.
#[derive(Debug)]
pub struct Metrics {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Metrics {
    /// Answers at `address` with what `render` makes. On a runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(
        address: SocketAddr,
        render: impl Fn() -> Page + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::new(render)));
        Ok(Self { address, task })
    }

    /// Where it answers.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Render = Arc<dyn Fn() -> Page + Send + Sync>;

async fn accept(listener: TcpListener, render: Render) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No file is left to open, say: that may pass.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let render = Arc::clone(&render);
        tokio::spawn(async move {
            let _ = attend(stream, &render).await;
            drop(seat);
        });
    }
}

async fn attend(mut stream: TcpStream, render: &Render) -> io::Result<()> {
    let mut head = vec![0; HEAD_BYTES_MAX];
    let Ok(length) = timeout(REQUEST_TIME, read_head(&mut stream, &mut head)).await? else {
        return Ok(());
    };
    let answer = match judge(head.get(..length).unwrap_or_default()) {
        Verdict::Numbers { body } => {
            let text = render().into_text();
            response("200 OK", "text/plain; version=0.0.4; charset=utf-8", &text, body)
        }
        Verdict::Refused(status) => response(status, "text/plain", &format!("{status}\n"), true),
    };
    timeout(REQUEST_TIME, stream.write_all(answer.as_bytes())).await??;
    timeout(REQUEST_TIME, stream.shutdown()).await?
}

/// Reads up to the blank line, or until `head` is full; how much that is.
async fn read_head(stream: &mut TcpStream, head: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < head.len() {
        let read = stream.read(head.get_mut(length..).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
        if ends(head.get(..length).unwrap_or_default()) {
            break;
        }
    }
    Ok(length)
}

fn ends(head: &[u8]) -> bool {
    head.windows(4).any(|four| four == b"\r\n\r\n") || head.windows(2).any(|two| two == b"\n\n")
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Numbers { body: bool },
    Refused(&'static str),
}

fn judge(head: &[u8]) -> Verdict {
    if !ends(head) {
        return Verdict::Refused("431 Request Header Fields Too Large");
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default().trim_end_matches('\r');
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [method, target, version] if version.starts_with("HTTP/1.") => {
            let path = target.split_once('?').map_or(target, |(path, _)| path);
            match (method, path) {
                (_, path) if path != "/metrics" => Verdict::Refused("404 Not Found"),
                ("GET", _) => Verdict::Numbers { body: true },
                ("HEAD", _) => Verdict::Numbers { body: false },
                _ => Verdict::Refused("405 Method Not Allowed"),
            }
        }
        _ => Verdict::Refused("400 Bad Request"),
    }
}

fn response(status: &str, kind: &str, text: &str, body: bool) -> String {
    let length = text.len();
    let shown = if body { text } else { "" };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\n{allow}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{shown}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.family("rope_bytes_total", Kind::Counter, "Bytes, all \\ of\nthem")
            .number(&[("server", &1), ("link", &"a\"b\\c\nd")], u64::MAX)
            .number(&[], 0.5);
        page.family("rope_up", Kind::Gauge, "Whether it is").number(&[], true);
        page
    }

    #[test]
    fn the_page_is_what_prometheus_reads() {
        assert_eq!(
            page().into_text(),
            concat!(
                "# HELP rope_bytes_total Bytes, all \\\\ of\\nthem\n",
                "# TYPE rope_bytes_total counter\n",
                "rope_bytes_total{server=\"1\",link=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n",
                "rope_bytes_total 0.5\n",
                "# HELP rope_up Whether it is\n",
                "# TYPE rope_up gauge\n",
                "rope_up 1\n",
            )
        );
    }

    async fn asked(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_answers_over_http_and_nothing_but_metrics() {
        let metrics = Metrics::listen("127.0.0.1:0".parse().unwrap(), page).await.unwrap();
        let address = metrics.address();
        let answer = asked(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, page().into_text());
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let status = async |request: &[u8]| asked(address, request).await[9..12].to_owned();
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n").await, "404");
        assert_eq!(status(b"POST /metrics HTTP/1.0\n\n").await, "405");
        assert_eq!(status(b"hello\r\n\r\n").await, "400");
        assert_eq!(status(&[b'x'; HEAD_BYTES_MAX]).await, "431");
        // One that asks nothing is in nobody's way.
        let _silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(status(b"HEAD /metrics?a=b HTTP/1.1\r\n\r\n").await, "200");
        let taken = Metrics::listen(address, page).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }

    proptest! {
        #[test]
        fn any_head_has_a_verdict(head in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = judge(&head);
        }

        /// Whatever a label says, it takes one line and ends where it should.
        #[test]
        fn a_label_stays_in_its_quotes(value in "[a\"\\\\\n{} ]{0,12}") {
            let mut page = Page::default();
            page.family("x", Kind::Gauge, "").number(&[("l", &value)], 7_u64);
            let text = page.into_text();
            let line = text.lines().nth(2).unwrap();
            let inside = line.strip_prefix("x{l=\"").and_then(|rest| rest.strip_suffix("\"} 7"));
            let inside = inside.unwrap().replace("\\\\", "\0").replace("\\\"", "\"");
            let read = inside.replace("\\n", "\n").replace('\0', "\\");
            prop_assert_eq!(read, value);
        }
    }
}
