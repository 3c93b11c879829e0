//! TCP and kernel MPTCP as programs of the lab: a sink that counts and a source that sends, as plain
//! as they come. They run as `lab peer ...` on the lab's machines and speak JSON lines as `ropewalk
//! bench` does.

use super::tally::{self, Bulk, Messages};
use super::{Job, Workload};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Instant;

/// Plays one side to its end.
///
/// # Errors
/// What the kernel refuses, such as a congestion control that it does not have.
pub fn play(job: &Job) -> io::Result<()> {
    match job.sink {
        true => sink(job),
        false => source(job),
    }
}

fn sink(job: &Job) -> io::Result<()> {
    let socket = open(job)?;
    socket.set_reuse_address(true)?;
    // On every address: the further subflows of MPTCP come to the others.
    let everywhere: IpAddr = match job.at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    socket.bind(&SocketAddr::new(everywhere, job.at.port()).into())?;
    socket.listen(1)?;
    println!("{}", json!({ "event": "ticket", "ticket": job.at.to_string() }));
    // It stays open to the end: further subflows come through it too.
    let listener = TcpListener::from(socket);
    let mut stream = listener.accept()?.0;
    println!("{}", json!({ "event": "connected" }));
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut room = vec![0; CHUNK_BYTES];
    let line = match job.workload {
        Workload::Bulk { .. } => {
            let mut bulk = Bulk::new();
            let (begin, mut bytes, mut second) = (Instant::now(), 0, 1.0);
            while let len @ 1.. = stream.read(&mut room)? {
                bulk.arrived(len);
                bytes += len;
                let seconds = begin.elapsed().as_secs_f64();
                // For measurements that do not wait for the end.
                if seconds >= second {
                    second += 1.0;
                    let line = json!({ "event": "so-far", "bytes": bytes, "seconds": seconds });
                    println!("{line}");
                }
            }
            bulk.line()
        }
        Workload::Messages { rate, size, seconds } => {
            let mut messages = Messages::new(size, rate * seconds);
            while let len @ 1.. = stream.read(&mut room)? {
                messages.arrived(&room[..len], tally::monotonic());
            }
            messages.line()
        }
    };
    println!("{line}");
    Ok(())
}

fn source(job: &Job) -> io::Result<()> {
    let socket = open(job)?;
    if let Some(congestion) = &job.congestion {
        socket.set_tcp_congestion(congestion.as_bytes())?;
    }
    socket.connect(&job.at.into())?;
    let mut stream = TcpStream::from(socket);
    println!("{}", json!({ "event": "connected" }));
    match job.workload {
        Workload::Bulk { bytes } => {
            let chunk = vec![0x5a; CHUNK_BYTES];
            let mut left = bytes;
            while left > 0 {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                stream.write_all(&chunk[..len])?;
                left -= len as u64;
            }
        }
        Workload::Messages { rate, size, seconds } => {
            stream.set_nodelay(true)?;
            let mut message = vec![0x5a; size];
            let begin = tally::monotonic();
            for number in 0..rate * seconds {
                let due = begin + number * 1_000_000_000 / rate;
                std::thread::sleep(Duration::from_nanos(due.saturating_sub(tally::monotonic())));
                tally::stamp(&mut message, due);
                stream.write_all(&message)?;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // The sink closes once it has everything.
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read(&mut [0]).map(drop)
}

fn open(job: &Job) -> io::Result<Socket> {
    let protocol = if job.multipath { Protocol::MPTCP } else { Protocol::TCP };
    Socket::new(Domain::for_address(job.at), Type::STREAM, Some(protocol))
}

/// Whether this kernel has MPTCP; if not, why.
///
/// # Errors
/// What the kernel said.
pub fn has_mptcp() -> io::Result<()> {
    let example = SocketAddr::from(([127, 0, 0, 1], 0));
    Socket::new(Domain::for_address(example), Type::STREAM, Some(Protocol::MPTCP)).map(drop)
}

const CHUNK_BYTES: usize = 128 << 10;
/// Nothing at all comes for so long: the connection is broken.
const PATIENCE: Duration = Duration::from_secs(30);
