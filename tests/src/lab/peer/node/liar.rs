//! A server of one file that is honest but once: of the piece that it is asked for as the Nth it gives
//! what looks like it, with one bit turned. Says so when it has.

use super::home;
use ropewalk::admission::Admission;
use ropewalk::connection::{Connection, RecvStream, SendStream};
use ropewalk::content::catalog::Item;
use ropewalk::content::offer::Offer;
use ropewalk::content::outboard::Trees;
use ropewalk::endpoint::{Endpoint, EndpointConfig};
use ropewalk::identity::Identity;
use ropewalk::serve::protocol::{Answer, Content, Reason, Request, SERVICE};
use ropewalk::serve::shelf::Shelf;
use ropewalk::ticket::Ticket;
use ropewalk::tickets::{Tickets, Use};
use ropewalk::transfer::protocol::{CHUNK_BYTES_MAX, Frame, FrameReader, FrameWriter, parse};
use serde_json::json;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Serves until it is killed.
pub(super) async fn all(path: &Path, nth: u64) -> io::Result<()> {
    let home = home()?;
    let trees = Trees::open(home.path("trees"))?;
    let offer = Offer::make(path, &trees, &|_| true).map_err(io::Error::other)?;
    let item = offer.item().clone();
    let mut shelf = Shelf::new(trees);
    shelf.add(offer).map_err(io::Error::other)?;
    let shelf = Arc::new(shelf);
    let admission = Admission::peers_and_tickets(home.clone());
    let admit = move |peer, ticket: Option<_>| admission.admit(&peer, ticket.as_ref());
    let identity = Identity::load_or_create(&home).map_err(io::Error::other)?;
    let mut config = EndpointConfig::new(identity);
    config.admission = Some(Arc::new(admit));
    config.services = &[SERVICE];
    let endpoint = Endpoint::bind(config).await.map_err(io::Error::other)?;
    let ticket = Tickets::new(home).ticket_to(&endpoint, Use::Lasting).map_err(io::Error::other)?;
    let ticket = Ticket { root: shelf.only_root(), ..ticket }.to_string();
    println!("{}", json!({ "event": "ticket", "ticket": ticket }));
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(each(connection, shelf.clone(), item.clone(), nth));
    }
    Ok(())
}

async fn each(connection: Connection, shelf: Arc<Shelf>, item: Item, nth: u64) {
    while let Some((_, send, recv)) = connection.accept().await {
        // A client that goes away ends it; nothing is lost by that.
        let _ = answer(recv, send, &shelf, &item, nth).await;
    }
}

async fn answer(
    recv: RecvStream,
    send: SendStream,
    shelf: &Shelf,
    item: &Item,
    nth: u64,
) -> io::Result<()> {
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let found = shelf.find(Content::Item(*item.root().as_bytes())).map_err(io::Error::other)?;
    let mut asked = 0;
    while let Frame::Control(body) = reader.next().await.map_err(io::Error::other)? {
        let (number, bytes) = match parse(body).map_err(io::Error::other)? {
            Request::List => {
                writer.control(&Answer::Item(&item.to_bytes())).await.map_err(io::Error::other)?;
                writer.control(&Answer::ListEnd).await.map_err(io::Error::other)?;
                writer.flush().await.map_err(io::Error::other)?;
                continue;
            }
            Request::Cancel(_) => continue,
            Request::Group { number, id, .. } => (number, found.group(id)),
            Request::Piece { number, piece, from, .. } => {
                asked += 1;
                let range = item.pieces().range(piece).ok_or(io::ErrorKind::InvalidInput)?;
                let from = range.start + u64::from(from);
                let mut bytes = vec![0; range.end.saturating_sub(from) as usize];
                let read = found.read_at(from, &mut bytes);
                if asked == nth {
                    println!("{}", json!({ "event": "lie", "piece": piece }));
                    bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                }
                (number, read.map(|()| bytes))
            }
        };
        say(&mut writer, number, bytes).await?;
    }
    Ok(())
}

async fn say(
    writer: &mut FrameWriter<SendStream>,
    number: u64,
    bytes: Result<Vec<u8>, Reason>,
) -> io::Result<()> {
    match bytes {
        Ok(bytes) => {
            let length = bytes.len() as u32;
            let begin = Answer::Bytes { number, length };
            writer.control(&begin).await.map_err(io::Error::other)?;
            for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
                writer.content(chunk).await.map_err(io::Error::other)?;
            }
        }
        Err(reason) => {
            writer.control(&Answer::No(number, reason)).await.map_err(io::Error::other)?;
        }
    }
    writer.flush().await.map_err(io::Error::other)
}
