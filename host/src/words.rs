//! A message explained: one word a packet, by datagrams, each over whatever path the mode picks; both ends
//! learn which word took which path, and in what order they came.
//!
//! ```text
//! sender    Begin{words}            datagram 0, datagram 1, ...   (again, what is not told arrived)
//! receiver                 Ready           Arrived{1}, Arrived{0}, ...                  Whole
//! ```
//!
//! Datagrams may be lost, doubled and reordered; the stream of the service `words` says what has arrived.

use crate::transfer::TransferError;
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The name of the service.
pub const SERVICE: &str = "words";

/// A sentence has no more words.
pub const WORDS_MAX: usize = 10_000;
/// A longer word is cut into several.
pub const WORD_BYTES_MAX: usize = 256;

const OUT_OF_TURN: TransferError = TransferError::Protocol("a word out of turn");

/// How often a word is sent at most.
const ATTEMPTS_MAX: u8 = 100;
/// When words that were not told arrived are sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
const DATAGRAM_BYTES_MAX: usize = WORD_BYTES_MAX + 16;

/// Unreliable messages of a connection, each with the path it takes.
pub trait Datagrams {
    /// Sends one, and returns when it has left, and which way.
    fn send(&self, bytes: &[u8]) -> impl Future<Output = Result<Leg, TransferError>>;
    /// The next one that arrived, and which way. Must not lose one when it is not waited for any more.
    fn receive(&self) -> impl Future<Output = Result<(Vec<u8>, Leg), TransferError>>;
}

/// The path that a word took, as one end sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leg {
    /// The link at this end.
    pub link: String,
    /// The address at the other.
    pub remote: String,
}

/// A word that made its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its place in the sentence, from zero.
    pub number: u32,
    /// The word, with the white space after it.
    pub text: String,
    /// The path it took.
    pub leg: Leg,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Message {
    Begin { words: u32 },
    Ready,
    Arrived { number: u32, attempt: u8 },
    Whole,
}

/// A word on its way.
#[derive(Serialize, Deserialize)]
struct Parcel<'p> {
    number: u32,
    attempt: u8,
    text: &'p str,
}

/// Sends `text` word by word. The words are returned in the order in which they arrived, with the paths
/// they left by.
///
/// # Errors
/// When the connection breaks, or the text has too many words.
pub async fn send<R, W>(
    reader: R,
    writer: W,
    datagrams: &impl Datagrams,
    text: &str,
) -> Result<Vec<Word>, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let words = split(text);
    if words.len() > WORDS_MAX {
        return Err(TransferError::Protocol("the message has too many words to explain"));
    }
    let mut writer = FrameWriter::new(writer);
    say(&mut writer, Message::Begin { words: words.len() as u32 }).await?;
    let (tell, heard) = mpsc::unbounded_channel();
    let sending =
        Sending { legs: vec![Vec::new(); words.len()], words, arrived: Vec::new(), heard };
    tokio::select! {
        ended = sending.run(datagrams) => ended,
        ended = hear_all(FrameReader::new(reader), &tell) => Err(ended),
    }
}

struct Sending<'s> {
    words: Vec<&'s str>,
    /// Which way each attempt of each word left.
    legs: Vec<Vec<Leg>>,
    arrived: Vec<Word>,
    heard: mpsc::UnboundedReceiver<Message>,
}

impl Sending<'_> {
    async fn run(mut self, datagrams: &impl Datagrams) -> Result<Vec<Word>, TransferError> {
        let Some(Message::Ready) = self.heard.recv().await else { return Err(OUT_OF_TURN) };
        for attempt in 0..ATTEMPTS_MAX {
            for number in 0..self.words.len() {
                while let Ok(message) = self.heard.try_recv() {
                    self.hear(message)?;
                }
                if !self.has_arrived(number) {
                    self.send_word(number, attempt, datagrams).await?;
                }
            }
            let again = Instant::now() + AGAIN_AFTER;
            while let Ok(message) = timeout_at(again, self.heard.recv()).await {
                match message {
                    Some(Message::Whole) => return Ok(self.arrived),
                    Some(message) => self.hear(message)?,
                    None => return core::future::pending().await,
                }
            }
        }
        Err(TransferError::Protocol("words do not arrive, though the stream does"))
    }

    async fn send_word(
        &mut self,
        number: usize,
        attempt: u8,
        datagrams: &impl Datagrams,
    ) -> Result<(), TransferError> {
        let parcel = Parcel { number: number as u32, attempt, text: self.words[number] };
        let mut room = [0; DATAGRAM_BYTES_MAX];
        let bytes = postcard::to_slice(&parcel, &mut room).map_err(|_| OUT_OF_TURN)?;
        let leg = datagrams.send(bytes).await?;
        self.legs[number].push(leg);
        Ok(())
    }

    fn has_arrived(&self, number: usize) -> bool {
        self.arrived.iter().any(|word| word.number as usize == number)
    }

    fn hear(&mut self, message: Message) -> Result<(), TransferError> {
        let Message::Arrived { number, attempt } = message else { return Err(OUT_OF_TURN) };
        let legs = self.legs.get(number as usize).ok_or(OUT_OF_TURN)?;
        let leg = legs.get(usize::from(attempt)).ok_or(OUT_OF_TURN)?.clone();
        if self.has_arrived(number as usize) {
            return Err(OUT_OF_TURN);
        }
        let text = self.words[number as usize].to_owned();
        self.arrived.push(Word { number, text, leg });
        Ok(())
    }
}

/// Receives a text word by word. The words are returned in the order in which they arrived, with the
/// paths they came by.
///
/// # Errors
/// When the connection breaks, or the sender breaks the protocol.
pub async fn receive<R, W>(
    reader: R,
    writer: W,
    datagrams: &impl Datagrams,
) -> Result<Vec<Word>, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
    let Message::Begin { words: count } = hear(&mut reader).await? else { return Err(OUT_OF_TURN) };
    if count as usize > WORDS_MAX {
        return Err(OUT_OF_TURN);
    }
    say(&mut writer, Message::Ready).await?;
    let (tell, _heard) = mpsc::unbounded_channel();
    let words = tokio::select! {
        ended = collect(count, datagrams, &mut writer) => ended?,
        ended = hear_all(reader, &tell) => return Err(ended),
    };
    // A sender that has heard that all is there may hang up before we hear that it has.
    let _ = writer.shutdown().await;
    Ok(words)
}

async fn collect<W: AsyncWrite + Unpin>(
    count: u32,
    datagrams: &impl Datagrams,
    writer: &mut FrameWriter<W>,
) -> Result<Vec<Word>, TransferError> {
    let mut words: Vec<Word> = Vec::new();
    while words.len() < count as usize {
        let (bytes, leg) = datagrams.receive().await?;
        // What is no word of this sentence is no reason to fail: anything may be in a datagram.
        let Ok(Parcel { number, attempt, text }) = postcard::from_bytes(&bytes) else { continue };
        if number >= count || words.iter().any(|word| word.number == number) {
            continue;
        }
        words.push(Word { number, text: text.to_owned(), leg });
        say(writer, Message::Arrived { number, attempt }).await?;
    }
    say(writer, Message::Whole).await?;
    Ok(words)
}

/// The sentence put together again.
#[must_use]
pub fn sentence(words: &[Word]) -> String {
    let mut in_order: Vec<&Word> = words.iter().collect();
    in_order.sort_by_key(|word| word.number);
    in_order.into_iter().map(|word| word.text.as_str()).collect()
}

/// The words of `text`, each with the white space after it, so that all of them together are `text`.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let mut rest = word;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES_MAX));
            words.push(piece);
            rest = after;
        }
    }
    words
}

async fn say<W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    message: Message,
) -> Result<(), TransferError> {
    writer.control(&message).await?;
    writer.flush().await
}

async fn hear<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> Result<Message, TransferError> {
    match reader.next().await? {
        Frame::Control(body) => parse(body),
        Frame::Content(_) => Err(OUT_OF_TURN),
    }
}

/// Hands on what is said, in a future of its own: a frame half read must not be forgotten.
async fn hear_all<R: AsyncRead + Unpin>(
    mut reader: FrameReader<R>,
    tell: &mpsc::UnboundedSender<Message>,
) -> TransferError {
    loop {
        match hear(&mut reader).await {
            Ok(message @ Message::Whole) => {
                let _ = tell.send(message);
                return core::future::pending().await;
            }
            Ok(message) => drop(tell.send(message)),
            Err(error) => return error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    type Arrival = (Vec<u8>, Leg);

    /// A way for datagrams that loses, doubles and reorders; the path is in the number.
    struct Wire {
        out: mpsc::UnboundedSender<Arrival>,
        inward: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arrival>>,
        sent: Mutex<(u32, Option<Arrival>)>,
    }

    impl Wire {
        fn pair() -> (Self, Self) {
            let (left, from_left) = mpsc::unbounded_channel();
            let (right, from_right) = mpsc::unbounded_channel();
            let wire = |out, inward| Self {
                out,
                inward: tokio::sync::Mutex::new(inward),
                sent: Mutex::default(),
            };
            (wire(left, from_right), wire(right, from_left))
        }
    }

    impl Datagrams for Wire {
        async fn send(&self, bytes: &[u8]) -> Result<Leg, TransferError> {
            let mut sent = self.sent.lock().unwrap();
            sent.0 += 1;
            let leg = Leg { link: format!("eth{}", sent.0 % 3), remote: "there".into() };
            let this = (bytes.to_vec(), leg.clone());
            match sent.0 % 5 {
                0 => {}
                1 => drop(sent.1.replace(this)),
                2 => {
                    let _ = self.out.send(this.clone());
                    let _ = self.out.send(this);
                    if let Some(held) = sent.1.take() {
                        let _ = self.out.send(held);
                    }
                }
                _ => drop(self.out.send(this)),
            }
            Ok(leg)
        }

        async fn receive(&self) -> Result<(Vec<u8>, Leg), TransferError> {
            Ok(self.inward.lock().await.recv().await.unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sentence_survives_loss_doubling_and_disorder_and_both_ends_agree() {
        let text = "It was a bright  cold day in April,\nand the clocks were striking thirteen. ";
        let (left, right) = tokio::io::duplex(64);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        let (near, far) = Wire::pair();
        far.out
            .send((b"nonsense".to_vec(), Leg { link: String::new(), remote: String::new() }))
            .unwrap();
        near.out.send((vec![0xff; 9], Leg { link: String::new(), remote: String::new() })).unwrap();
        let (sent, received) = tokio::join!(
            send(left_read, left_write, &near, text),
            receive(right_read, right_write, &far)
        );
        let (sent, received) = (sent.unwrap(), received.unwrap());
        assert_eq!(sentence(&received), text);
        assert_eq!(sent, received, "in the same order, by the same paths");
        assert!(sent.windows(2).any(|pair| pair[0].number > pair[1].number), "out of order");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_sentence_is_one() {
        let (left, right) = tokio::io::duplex(64);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        let (near, far) = Wire::pair();
        let (sent, received) = tokio::join!(
            send(left_read, left_write, &near, ""),
            receive(right_read, right_write, &far)
        );
        assert!(sent.unwrap().is_empty() && received.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_peer_that_goes_away_ends_it() {
        let (near, far) = Wire::pair();
        let error = send(tokio::io::empty(), tokio::io::sink(), &near, "a b").await.unwrap_err();
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
        let error = receive(tokio::io::empty(), tokio::io::sink(), &far).await.unwrap_err();
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
    }

    proptest! {
        #[test]
        fn the_words_together_are_the_text(text in r"(\PC{0,300}[ \n]){0,5}") {
            let words = split(&text);
            prop_assert!(words.iter().all(|word| !word.is_empty() && word.len() <= WORD_BYTES_MAX));
            prop_assert_eq!(words.concat(), text);
        }
    }
}
