//! Servers that do what servers do, and worse; and whoever fetches from them.

use crate::content::catalog::Item;
use crate::endpoint::{Endpoint, EndpointConfig, FixedLink};
use crate::fetch::partial::{Leftover, Replace};
use crate::get::choice::Wish;
use crate::get::happened::{GetError, Happened};
use crate::get::job::How;
use crate::get::order::{Order, Running};
use crate::get::source::{Source, Way};
use crate::identity::Identity;
use crate::peer::PeerAddress;
use crate::serve::protocol::{Answer, Reason, Request, SERVICE};
use crate::serve::shelf::Shelf;
use crate::stream::{RecvStream, SendStream};
use crate::transfer::Summary;
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use crate::transfer::safe_path::Root;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use std::sync::Arc;

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// What is right.
    Right,
    /// The same, after a while.
    Late(Duration),
    /// Nothing.
    Silence,
    /// Says that it has it not.
    Refuse(Reason),
    /// Sends something else of the same length.
    Lie,
    /// Ends the stream.
    Leave,
    /// Sends what is no answer.
    Break,
}

/// A server on loopback; it is gone with the test's runtime.
pub(super) struct Peer {
    pub(super) address: PeerAddress,
    /// How many streams it has had.
    pub(super) visits: Arc<AtomicUsize>,
}

pub(super) async fn endpoint() -> Arc<Endpoint> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EndpointConfig {
        services: &[SERVICE],
        fixed_links: Some(vec![FixedLink { name: "link".into(), address }]),
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        ..EndpointConfig::new(Identity::ephemeral())
    };
    Arc::new(Endpoint::bind(config).await.unwrap())
}

impl Peer {
    /// One that lists these items, and has what is on the shelf.
    pub(super) async fn new(
        shelf: &Arc<Shelf>,
        items: Vec<Item>,
        deed: impl Fn(&Request) -> Deed + Send + Sync + 'static,
    ) -> Self {
        let endpoint = endpoint().await;
        let places = endpoint.addresses().into_iter().map(Into::into).collect();
        let address = PeerAddress { key: endpoint.public_key(), places, ticket: None, root: None };
        let visits = Arc::<AtomicUsize>::default();
        let (items, deed, shelf) = (Arc::new(items), Arc::new(deed), shelf.clone());
        let counted = visits.clone();
        tokio::spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                let (items, deed, shelf) = (items.clone(), deed.clone(), shelf.clone());
                let counted = counted.clone();
                tokio::spawn(async move {
                    while let Some((_, send, recv)) = connection.accept().await {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let _ = answer(recv, send, &shelf, &items, &*deed).await;
                    }
                });
            }
        });
        Self { address, visits }
    }

    /// An honest one.
    pub(super) async fn honest(shelf: &Arc<Shelf>) -> Self {
        Self::new(shelf, shelf.catalog().items().to_vec(), |_| Deed::Right).await
    }

    pub(super) fn source(&self, name: &str) -> Source {
        Source { name: name.into(), way: Way::Peer(self.address.clone()) }
    }
}

async fn answer(
    recv: RecvStream,
    send: SendStream,
    shelf: &Shelf,
    items: &[Item],
    deed: &(dyn Fn(&Request) -> Deed + Send + Sync),
) -> Option<()> {
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    while let Ok(Frame::Control(body)) = reader.next().await {
        let request: Request = parse(body).ok()?;
        let deed = deed(&request);
        match deed {
            Deed::Late(time) => tokio::time::sleep(time).await,
            Deed::Silence => continue,
            Deed::Leave => {
                // What it said before still arrives.
                tokio::time::sleep(Duration::from_millis(30)).await;
                return None;
            }
            Deed::Break => drop(writer.content(b"what is this").await),
            _ => {}
        }
        let (number, bytes) = match request {
            Request::List => {
                for item in items {
                    writer.control(&Answer::Item(&item.to_bytes())).await.ok()?;
                }
                writer.control(&Answer::ListEnd).await.ok()?;
                writer.flush().await.ok()?;
                continue;
            }
            Request::Cancel(_) => continue,
            Request::Group { number, of, id } => {
                (number, shelf.find(of).and_then(|found| found.group(id)))
            }
            Request::Piece { number, of, piece, from } => {
                let found = shelf.find(of).and_then(|found| {
                    let range = shelf.catalog().items()[0].pieces().range(piece);
                    let range = range.ok_or(Reason::Unknown)?;
                    let mut bytes = vec![0; (range.end - range.start) as usize];
                    found.read_at(range.start, &mut bytes)?;
                    Ok(bytes.split_off(from as usize))
                });
                (number, found)
            }
        };
        let answer = match deed {
            Deed::Refuse(reason) => Err(reason),
            Deed::Lie => bytes.map(|bytes| vec![7; bytes.len()]),
            _ => bytes,
        };
        match answer {
            Ok(bytes) => {
                let length = bytes.len() as u32;
                writer.control(&Answer::Bytes { number, length }).await.ok()?;
                for chunk in bytes.chunks(100_000) {
                    writer.content(chunk).await.ok()?;
                }
            }
            Err(reason) => writer.control(&Answer::No(number, reason)).await.ok()?,
        }
        writer.flush().await.ok()?;
    }
    None
}

/// An order into a folder of its own.
pub(super) fn order(sources: Vec<Source>) -> (tempfile::TempDir, Order) {
    let out = tempfile::tempdir().unwrap();
    let order = Order {
        sources,
        wish: Wish::default(),
        list: false,
        into: Arc::new(Root::open(out.path()).unwrap()),
        how: How { replace: Replace::No, leftover: Leftover::Resume },
        rate_max: None,
        give_up_after: None,
    };
    (out, order)
}

/// How it ended, and what happened until then.
pub(super) struct Ended {
    pub(super) how: Result<Summary, GetError>,
    pub(super) happened: Vec<Happened>,
}

/// Waits for the end, but not for longer than so many seconds.
pub(super) async fn end(mut running: Running, seconds: u64) -> Ended {
    let patience = Duration::from_secs(seconds);
    let how = tokio::time::timeout(patience, &mut running.ended).await;
    let mut happened = Vec::new();
    while let Ok(it) = running.happened.try_recv() {
        happened.push(it);
    }
    let how = how.unwrap_or_else(|_| panic!("it goes on: {happened:?}"));
    Ended { how: how.unwrap(), happened }
}
