//! Files from several servers over pipes in memory: servers that die, lie, go and come.

use super::*;
use crate::content::catalog::Item;
use crate::content::piece::PIECE_BYTES;
use crate::fetch::schedule::{SourceReport, Standing as Answers};
use crate::get::peer::{self, Asker, Event};
use crate::serve::client::tests::{Scene, noise, serving};
use crate::serve::client::{Phase, serve};
use crate::serve::protocol::{Answer, Request as Asked};
use crate::serve::shelf::Shelf;
use crate::transfer::protocol::Attributes;
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use core::time::Duration;
use ropewalk_core::time::Instant;
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Servers of one file, and whoever fetches it.
struct Fleet {
    scene: Scene,
    shelf: Arc<Shelf>,
    content: Vec<u8>,
    out: tempfile::TempDir,
    told: mpsc::Sender<(SourceId, Event)>,
    events: mpsc::Receiver<(SourceId, Event)>,
    servers: BTreeMap<SourceId, (JoinHandle<()>, watch::Sender<Phase>)>,
    start: std::time::Instant,
}

/// What a fetch came to.
#[derive(Debug, Default)]
struct Seen {
    had: u64,
    found: u64,
    lied: Vec<SourceId>,
    ended: Vec<(String, Outcome)>,
}

type List = Box<dyn Iterator<Item = Result<Wanted, JobError>> + Send>;

/// A job and its exchange.
struct Fetch {
    exchange: Exchange,
    job: Job<List>,
}

impl Fetch {
    fn sources(&self) -> Vec<SourceReport> {
        self.exchange.sources().collect()
    }
}

impl Fleet {
    fn new(content: Vec<u8>) -> Self {
        let scene = Scene::new();
        scene.file("film", &content);
        let shelf = scene.shelf(&["film"]);
        let (told, events) = mpsc::channel(64);
        let (out, start) = (tempfile::tempdir().unwrap(), std::time::Instant::now());
        let servers = BTreeMap::new();
        Self { scene, shelf, content, out, told, events, servers, start }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(1 + self.start.elapsed().as_micros() as u64)
    }

    fn item(&self) -> Item {
        self.shelf.catalog().items()[0].clone()
    }

    fn job(&self, leftover: Leftover) -> Fetch {
        let item = self.item();
        let whose =
            Whose { root: item.root(), pieces: item.pieces(), attributes: Attributes::default() };
        let of = Content::Item(*item.root().as_bytes());
        let path = SafePath::parse(b"film").unwrap();
        self.fetch(leftover, None, vec![Wanted { of, whose, path }])
    }

    fn fetch(&self, leftover: Leftover, staging: Option<Staging>, list: Vec<Wanted>) -> Fetch {
        let root = Arc::new(Root::open(self.out.path()).unwrap());
        let how = How { replace: Replace::No, leftover };
        let list: List = Box::new(list.into_iter().map(Ok));
        Fetch { exchange: Exchange::default(), job: Job::new(root, how, staging, list) }
    }

    /// An honest server.
    fn serve(&mut self, source: u32) -> Asker {
        let (here, there) = tokio::io::duplex(256 << 10);
        let (phase, seen) = watch::channel(Phase::Serving);
        let serving = serving(self.shelf.clone(), seen);
        let (recv, send) = tokio::io::split(there);
        let server = tokio::spawn(async move { drop(serve(recv, send, serving).await) });
        self.servers.insert(SourceId(source), (server, phase));
        self.join(source, here)
    }

    /// Honest servers, all of them asked by the job.
    fn staff(&mut self, fetch: &mut Fetch, sources: core::ops::Range<u32>) {
        for source in sources {
            let asker = self.serve(source);
            fetch.exchange.add(SourceId(source), asker, self.now());
        }
    }

    /// One that gives hashes and pieces right but for one piece.
    fn lie(&mut self, source: u32, about: u64) -> Asker {
        let (here, there) = tokio::io::duplex(256 << 10);
        let (shelf, item) = (self.shelf.clone(), self.item());
        tokio::spawn(async move {
            let (recv, send) = tokio::io::split(there);
            let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
            let found = shelf.find(Content::Item(*item.root().as_bytes())).unwrap();
            while let Ok(Frame::Control(body)) = reader.next().await {
                let (number, bytes) = match parse(body).unwrap() {
                    Asked::Group { number, id, .. } => (number, found.group(id).unwrap()),
                    Asked::Piece { number, piece, from, .. } => {
                        let range = item.pieces().range(piece).unwrap();
                        let mut bytes = vec![0; (range.end - range.start) as usize];
                        found.read_at(range.start, &mut bytes).unwrap();
                        bytes[0] ^= u8::from(piece == about);
                        (number, bytes.split_off(from as usize))
                    }
                    _ => continue,
                };
                let length = bytes.len() as u32;
                let _ = writer.control(&Answer::Bytes { number, length }).await;
                for chunk in bytes.chunks(100_000) {
                    let _ = writer.content(chunk).await;
                }
                let _ = writer.flush().await;
            }
        });
        self.join(source, here)
    }

    fn join(&self, source: u32, here: DuplexStream) -> Asker {
        let (recv, send) = tokio::io::split(here);
        peer::open(recv, send, SourceId(source), self.told.clone())
    }

    /// Drives the job until it is done, or `stop` says so.
    async fn drive(
        &mut self,
        fetch: &mut Fetch,
        mut stop: impl FnMut(&mut Self, &Fetch, &Seen) -> bool,
    ) -> Seen {
        let mut seen = Seen::default();
        let patience = self.start.elapsed() + Duration::from_secs(60);
        loop {
            assert!(self.start.elapsed() < patience, "{seen:?}, {:?}", fetch.sources());
            fetch.job.fill(&mut fetch.exchange).unwrap();
            seen.take(fetch.job.notices());
            if fetch.job.is_done() || stop(self, fetch, &seen) {
                break;
            }
            let now = self.now();
            fetch.exchange.ask(now);
            let due = fetch.exchange.poll_timeout().map_or(Duration::from_secs(1), |due| {
                Duration::from_micros(due.since(now).as_micros())
            });
            let is_busy = fetch.job.may_list_more(&mut fetch.exchange);
            let due = if is_busy { Duration::ZERO } else { due };
            let event = tokio::time::timeout(due, self.events.recv()).await;
            let now = self.now();
            match event {
                Err(_) => fetch.exchange.handle_timeout(now),
                Ok(None) => panic!("the channel is ours"),
                Ok(Some((source, event))) => {
                    if let Some(came) = fetch.exchange.handle(source, event, now) {
                        fetch.job.take(came, false, &mut fetch.exchange).unwrap();
                    }
                }
            }
            seen.take(fetch.job.notices());
        }
        if fetch.job.is_done() {
            fetch.job.finish().unwrap();
            seen.take(fetch.job.notices());
        }
        seen
    }

    fn kill(&mut self, source: u32) {
        self.servers.remove(&SourceId(source)).unwrap().0.abort();
    }

    fn is_right(&self, fetch: Fetch) {
        assert!(fetch.job.is_done());
        drop(fetch);
        assert!(std::fs::read(self.out.path().join("film")).unwrap() == self.content);
        let left: Vec<_> = std::fs::read_dir(self.out.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
    }
}

impl Seen {
    fn take(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Had(bytes) => self.had += bytes,
                Notice::Found(bytes) => self.found += bytes,
                Notice::Lied(source) => self.lied.push(source),
                Notice::Refused(..) => {}
                Notice::Ended(report) => self.ended.push((report.path, report.outcome)),
            }
        }
    }
}

const MIB: u64 = PIECE_BYTES;

#[tokio::test]
async fn a_file_comes_from_four_servers_and_is_right() {
    for bytes in [0, 1, MIB, MIB + 1, 20 * MIB + 7] {
        let mut fleet = Fleet::new(noise(bytes));
        let mut job = fleet.job(Leftover::Resume);
        fleet.staff(&mut job, 0..4);
        let seen = fleet.drive(&mut job, |_, _, _| false).await;
        assert_eq!(seen.had, bytes);
        assert_eq!(seen.ended, [("film".to_owned(), Outcome::Stored)]);
        fleet.is_right(job);
    }
}

#[tokio::test]
async fn more_than_one_group_of_hashes() {
    // Mostly zeros: it costs no disk.
    let mut content = vec![0; (257 * MIB) as usize + 5];
    for piece in [0, 100, 255, 256, 257] {
        content[(piece * MIB) as usize] = 1 + (piece % 200) as u8;
    }
    let mut fleet = Fleet::new(content);
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 0..2);
    let _ = fleet.drive(&mut job, |_, _, seen| seen.had > 200 * MIB).await;
    // Taken up again, with the hashes in the journal; nobody is asked for what is there.
    drop(job);
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 2..4);
    let seen = fleet.drive(&mut job, |_, _, _| false).await;
    assert!(seen.had < 60 * MIB, "{} bytes again", seen.had);
    fleet.is_right(job);
}

#[tokio::test]
async fn servers_that_die_leave_their_work_to_the_others() {
    let mut fleet = Fleet::new(noise(30 * MIB));
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 0..3);
    let mut killed = 0;
    let seen = fleet
        .drive(&mut job, |fleet, _, seen| {
            if killed < 2 && seen.had > (1 + killed) * 6 * MIB {
                fleet.kill(killed as u32);
                killed += 1;
            }
            false
        })
        .await;
    assert_eq!((killed, seen.had), (2, 30 * MIB));
    fleet.is_right(job);
}

#[tokio::test]
async fn all_die_and_one_comes_back() {
    let mut fleet = Fleet::new(noise(12 * MIB));
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 0..1);
    let before = fleet.drive(&mut job, |_, _, seen| seen.had >= 4 * MIB).await;
    fleet.kill(0);
    let is_away = |job: &Fetch| job.sources().iter().all(|source| source.standing == Answers::Away);
    let between = fleet.drive(&mut job, |_, job, _| is_away(job)).await;
    fleet.staff(&mut job, 0..1);
    let after = fleet.drive(&mut job, |_, _, _| false).await;
    assert_eq!(before.had + between.had + after.had, 12 * MIB);
    fleet.is_right(job);
}

#[tokio::test]
async fn a_liar_is_found_dropped_and_named_and_the_file_is_right() {
    let mut fleet = Fleet::new(noise(24 * MIB));
    let mut job = fleet.job(Leftover::Resume);
    let liar = fleet.lie(9, 3);
    job.exchange.add(SourceId(9), liar, fleet.now());
    let seen = fleet.drive(&mut job, |_, _, seen| !seen.lied.is_empty()).await;
    assert_eq!(seen.lied, [SourceId(9)]);
    assert!(seen.had < 24 * MIB);
    fleet.staff(&mut job, 0..1);
    let liar = fleet.lie(9, 3);
    job.exchange.add(SourceId(9), liar, fleet.now());
    let seen = fleet.drive(&mut job, |_, _, _| false).await;
    assert_eq!(seen.lied, [], "it is not asked again");
    fleet.is_right(job);
}

#[tokio::test]
async fn a_server_that_pauses_gives_its_work_away_and_is_used_again() {
    let mut fleet = Fleet::new(noise(40 * MIB));
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 0..2);
    let mut step = 0;
    let seen = fleet
        .drive(&mut job, |fleet, _, seen| {
            let phase = &fleet.servers[&SourceId(0)].1;
            match step {
                0 if seen.had > 8 * MIB => drop((phase.send_replace(Phase::Paused), step = 1)),
                1 if seen.had > 20 * MIB => drop((phase.send_replace(Phase::Serving), step = 2)),
                _ => {}
            }
            false
        })
        .await;
    assert_eq!((step, seen.had), (2, 40 * MIB));
    fleet.is_right(job);
}

#[tokio::test]
async fn a_file_that_nobody_has_any_more_is_said() {
    let mut fleet = Fleet::new(noise(8 * MIB));
    let mut job = fleet.job(Leftover::Resume);
    fleet.staff(&mut job, 0..1);
    let _ = fleet.drive(&mut job, |_, _, seen| seen.had > MIB).await;
    fleet.scene.file("film", b"another");
    let seen = fleet.drive(&mut job, |_, _, _| false).await;
    assert!(matches!(seen.ended[..], [(_, Outcome::Failed(_))]), "{seen:?}");
}

#[tokio::test]
async fn two_cannot_fetch_one_file_into_one_folder() {
    let mut fleet = Fleet::new(noise(2 * MIB));
    let mut first = fleet.job(Leftover::Resume);
    first.job.fill(&mut first.exchange).unwrap();
    let mut second = fleet.job(Leftover::Resume);
    let seen = fleet.drive(&mut second, |_, _, _| false).await;
    assert!(
        matches!(&seen.ended[..], [(_, Outcome::Refused(why))] if why.contains("another get")),
        "{seen:?}"
    );
    fleet.staff(&mut first, 0..1);
    let _ = fleet.drive(&mut first, |_, _, _| false).await;
    fleet.is_right(first);
}
