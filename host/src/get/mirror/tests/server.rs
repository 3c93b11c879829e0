//! A small web server on loopback: files with ranges, and whatever else a test has it do.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request, as the server understood it.
#[derive(Clone, Debug)]
pub(in crate::get) struct Asked {
    /// Decoded, with its slash.
    pub(in crate::get) path: String,
    pub(in crate::get) range: Option<Range<usize>>,
    /// How many are being answered, this one included.
    pub(in crate::get) at_once: usize,
    pub(in crate::get) head: String,
}

/// What the server says.
#[derive(Clone, Debug)]
pub(in crate::get) struct Answer {
    pub(in crate::get) status: u16,
    pub(in crate::get) headers: Vec<String>,
    pub(in crate::get) body: Vec<u8>,
    /// Bytes that it announces; as many as the body has if nothing else is said.
    pub(in crate::get) length: Option<u64>,
    /// Before each 64 KiB.
    pub(in crate::get) pause: Duration,
}

impl Answer {
    pub(in crate::get) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), length: None, pause: Duration::ZERO }
    }
}

type Manner = Box<dyn Fn(&Asked, Answer) -> Answer + Send + Sync>;

/// The server; it is gone with the test's runtime.
pub(in crate::get) struct Server {
    pub(in crate::get) url: String,
    state: Arc<State>,
}

struct State {
    files: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    at_once: AtomicUsize,
    sent: AtomicU64,
}

impl Server {
    pub(in crate::get) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            files: Mutex::default(),
            manner: Mutex::new(Box::new(|_, answer| answer)),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Self { url, state }
    }

    /// A file at this path, which begins with a slash.
    pub(in crate::get) fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.state.files.lock().unwrap().insert(path.into(), Arc::new(content.into()));
    }

    /// From now on it answers as this says, which is given the right answer.
    pub(in crate::get) fn behave(
        &self,
        manner: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) {
        *self.state.manner.lock().unwrap() = Box::new(manner);
    }

    pub(in crate::get) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(in crate::get) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Bytes of bodies that went out.
    pub(in crate::get) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let at_once = state.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        let asked = parse(head, at_once);
        let right = right(&asked, &state);
        let answer = (state.manner.lock().unwrap())(&asked, right);
        state.asked.lock().unwrap().push(asked);
        let written = write(stream.get_mut(), answer, &state.sent).await;
        state.at_once.fetch_sub(1, Ordering::Relaxed);
        if !matches!(written, Ok(true)) {
            return;
        }
    }
}

fn parse(head: String, at_once: usize) -> Asked {
    let target = head.split(' ').nth(1).unwrap();
    let path = decode(target.split('?').next().unwrap());
    let range = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let range = value.strip_prefix("bytes=").filter(|_| name.eq_ignore_ascii_case("range"))?;
        let (first, last) = range.split_once('-').unwrap();
        Some(first.parse().unwrap()..last.parse::<usize>().unwrap() + 1)
    });
    Asked { path, range, at_once, head }
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = core::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn right(asked: &Asked, state: &State) -> Answer {
    let Some(content) = state.files.lock().unwrap().get(&asked.path).cloned() else {
        return Answer::status(404);
    };
    let Some(range) = asked.range.clone() else {
        return Answer { body: content.to_vec(), ..Answer::status(200) };
    };
    if range.start >= content.len() {
        return Answer::status(416);
    }
    let range = range.start..range.end.min(content.len());
    let headers =
        vec![format!("content-range: bytes {}-{}/{}", range.start, range.end - 1, content.len())];
    Answer { headers, body: content[range].to_vec(), ..Answer::status(206) }
}

/// Whether the connection can be used on.
async fn write(stream: &mut TcpStream, answer: Answer, sent: &AtomicU64) -> std::io::Result<bool> {
    let length = answer.length.unwrap_or(answer.body.len() as u64);
    let mut head = format!("HTTP/1.1 {} Said\r\ncontent-length: {length}\r\n", answer.status);
    for header in &answer.headers {
        head += &format!("{header}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for part in answer.body.chunks(64 << 10) {
        if !answer.pause.is_zero() {
            tokio::time::sleep(answer.pause).await;
        }
        stream.write_all(part).await?;
        sent.fetch_add(part.len() as u64, Ordering::Relaxed);
    }
    Ok(length == answer.body.len() as u64)
}
