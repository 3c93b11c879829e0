//! The file protocol's messages and their frames.
//!
//! ```text
//! frame: head, u32 little endian | body        head's top bit: control, else bytes of content; the rest: body's length
//! ```
//!
//! A control body is what postcard makes of [`Message`] (sender to receiver) or [`Answer`] (back).
//! Items, files and folders, are numbered from zero in the order of their messages.

use super::TransferError;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter,
};

/// Most bytes of content in a frame.
pub const CHUNK_BYTES_MAX: usize = 128 << 10;
/// Most bytes of a path on the wire; Linux has the same limit.
pub const PATH_BYTES_MAX: usize = 4096;
/// Most bytes of a reason.
pub const REASON_BYTES_MAX: usize = 512;

const CONTROL_BYTES_MAX: usize = PATH_BYTES_MAX + REASON_BYTES_MAX;
const CONTROL_BIT: u32 = 1 << 31;
const BUFFER_BYTES: usize = 64 << 10;

/// A file's or folder's permission bits and time of change, where the sender's system has such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Unix permission bits, of which only the lowest nine count.
    pub mode: Option<u32>,
    /// When its content last changed.
    pub modified: Option<Modified>,
}

/// A time: seconds since 1970 (negative before) and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modified {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds, below a thousand million.
    pub nanoseconds: u32,
}

/// What the sender says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'m> {
    /// A new item: this folder; what follows up to its end is in it, by full paths all the same.
    Folder {
        /// `/` between the names, UTF-8; checked by the receiver.
        path: &'m [u8],
    },
    /// The innermost folder is complete.
    FolderEnd(Attributes),
    /// A new item: this file. Its content follows in content frames.
    File {
        /// As for a folder.
        path: &'m [u8],
        /// Its length, unless it is read from a pipe.
        size: Option<u64>,
        /// To be set when it is complete.
        attributes: Attributes,
    },
    /// The file's content is complete, and this is its BLAKE3 hash.
    End([u8; 32]),
    /// No more content for now: the answer to [`Answer::Ask`]; the hash follows.
    Pause,
    /// The hash that was asked for.
    Hash([u8; 32]),
    /// The sender cannot send the file whole, for this reason.
    Fail(&'m str),
    /// No more of this file: the receiver has given its verdict already.
    Skip,
    /// No more items.
    Done,
    /// What follows begins at this byte, and counts instead of what was sent of the file so far: the answer to
    /// [`Answer::Resume`]. Zero if what the receiver has is something else.
    From(u64),
    /// So many bytes of content that are all zeros, at most [`CHUNK_BYTES_MAX`].
    Zeros(u32),
}

/// What the receiver says. Each item gets exactly one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<'m> {
    /// A file of this item's name and length is here: what is your hash?
    Ask(u64),
    /// The hash is another one: send the content, from its start.
    Go(u64),
    /// What became of the item.
    Verdict(u64, #[serde(borrow)] Verdict<'m>),
    /// Every item has its verdict.
    Finished,
    /// So many bytes of this file are here from an earlier time, and this is their hash: go on behind them, if they
    /// are yours.
    Resume {
        /// The item.
        item: u64,
        /// How many bytes.
        bytes: u64,
        /// Their hash.
        blake3: [u8; 32],
    },
}

/// What became of an item, as the receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict<'m> {
    /// It is there; its last byte came so many microseconds after the file before, or after the
    /// connection was accepted.
    Stored {
        /// The time.
        micros: u64,
    },
    /// It was there.
    Already,
    /// Not wanted, for this reason.
    Refused(&'m str),
    /// What arrived has another hash.
    Corrupt,
    /// The sender gave it up.
    GivenUp,
}

/// One frame that arrived.
#[derive(Debug)]
pub enum Frame<'b> {
    /// Bytes of content.
    Content(Vec<u8>),
    /// The body of a control message; see [`parse`].
    Control(&'b [u8]),
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: BufReader<R>,
    control: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Frames out of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER_BYTES, inner), control: Vec::new() }
    }

    /// The next frame. A stream that ends is an error: the protocol says when it is over.
    ///
    /// # Errors
    /// When the stream breaks, or a frame is longer than allowed.
    pub async fn next(&mut self) -> Result<Frame<'_>, TransferError> {
        let head = self.inner.read_u32_le().await.map_err(TransferError::Lost)?;
        let length = (head & !CONTROL_BIT) as usize;
        if head & CONTROL_BIT == 0 {
            let content = read_body(&mut self.inner, Vec::new(), length, CHUNK_BYTES_MAX).await?;
            return Ok(Frame::Content(content));
        }
        let room = core::mem::take(&mut self.control);
        self.control = read_body(&mut self.inner, room, length, CONTROL_BYTES_MAX).await?;
        Ok(Frame::Control(&self.control))
    }

    /// The next frame, or `None` if the stream ends here, between frames.
    ///
    /// # Errors
    /// As [`FrameReader::next`].
    pub async fn next_or_end(&mut self) -> Result<Option<Frame<'_>>, TransferError> {
        if self.inner.fill_buf().await.map_err(TransferError::Lost)?.is_empty() {
            return Ok(None);
        }
        self.next().await.map(Some)
    }

    /// Reads on to the stream's end, after its last frame. Whoever lets go of a stream before tells
    /// its sender that the rest is not wanted, which looks like failure there.
    pub async fn finish(mut self) {
        // What follows the last word, and how it breaks off, does not matter any more.
        let _ = tokio::io::copy(&mut self.inner, &mut tokio::io::sink()).await;
    }
}

async fn read_body<R: AsyncRead + Unpin>(
    inner: &mut R,
    mut body: Vec<u8>,
    length: usize,
    length_max: usize,
) -> Result<Vec<u8>, TransferError> {
    if length > length_max {
        return Err(TransferError::Protocol("a frame is too long"));
    }
    body.clear();
    body.reserve_exact(length);
    let read = inner.take(length as u64).read_to_end(&mut body).await;
    match read.map_err(TransferError::Lost)? {
        all if all == length => Ok(body),
        _ => Err(TransferError::Lost(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The message in a control frame's body.
///
/// # Errors
/// When it is none.
pub fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, TransferError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(TransferError::Protocol("a control frame holds no message")),
    }
}

/// Writes frames; what is written stays in a small buffer until [`FrameWriter::flush`].
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: BufWriter<W>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Frames into `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner: BufWriter::with_capacity(BUFFER_BYTES, inner) }
    }

    /// Writes a control message.
    ///
    /// # Errors
    /// When the stream breaks, or a path or reason in the message is longer than allowed.
    pub async fn control<T: Serialize + Sync>(&mut self, message: &T) -> Result<(), TransferError> {
        let mut room = [0; CONTROL_BYTES_MAX];
        let body = postcard::to_slice(message, &mut room)
            .map_err(|_| TransferError::Protocol("a message is too long"))?;
        self.frame(CONTROL_BIT, body).await
    }

    /// Writes content of at most [`CHUNK_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn content(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        debug_assert!(bytes.len() <= CHUNK_BYTES_MAX);
        self.frame(0, bytes).await
    }

    async fn frame(&mut self, kind: u32, body: &[u8]) -> Result<(), TransferError> {
        let head = kind | body.len() as u32;
        self.inner.write_u32_le(head).await.map_err(TransferError::Lost)?;
        self.inner.write_all(body).await.map_err(TransferError::Lost)
    }

    /// Hands on what is in the buffer.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn flush(&mut self) -> Result<(), TransferError> {
        self.inner.flush().await.map_err(TransferError::Lost)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn shutdown(&mut self) -> Result<(), TransferError> {
        self.inner.shutdown().await.map_err(TransferError::Lost)
    }
}

/// `reason` cut so that it fits into a message.
#[must_use]
pub fn fitting(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let (left, right) = tokio::io::duplex(100);
        let (mut writer, mut reader) = (FrameWriter::new(left), FrameReader::new(right));
        let content: Vec<u8> = (0..CHUNK_BYTES_MAX).map(|i| i as u8).collect();
        let file =
            Message::File { path: b"a/b", size: Some(1 << 40), attributes: Attributes::default() };
        let write = async {
            writer.control(&file).await.unwrap();
            writer.content(&content).await.unwrap();
            writer.control(&Message::Done).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let read = async {
            let Frame::Control(body) = reader.next().await.unwrap() else { panic!() };
            assert_eq!(parse::<Message<'_>>(body).unwrap(), file);
            assert!(
                matches!(reader.next().await.unwrap(), Frame::Content(bytes) if bytes == content)
            );
            let Frame::Control(body) = reader.next().await.unwrap() else { panic!() };
            assert_eq!(parse::<Message<'_>>(body).unwrap(), Message::Done);
            assert!(matches!(reader.next().await, Err(TransferError::Lost(_))));
        };
        tokio::join!(write, read);
    }

    #[tokio::test]
    async fn a_frame_too_long_is_refused_before_memory_is_taken() {
        for head in [CONTROL_BIT | u32::MAX, CHUNK_BYTES_MAX as u32 + 1] {
            let bytes = head.to_le_bytes();
            let error = FrameReader::new(&bytes[..]).next().await.unwrap_err();
            assert!(matches!(error, TransferError::Protocol(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn half_a_frame_is_a_stream_that_broke() {
        let bytes = [10, 0, 0, 0, 1, 2, 3];
        let error = FrameReader::new(&bytes[..]).next().await.unwrap_err();
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
    }

    #[test]
    fn the_longest_message_fits_and_a_reason_is_cut_between_characters() {
        let mut room = [0; CONTROL_BYTES_MAX];
        let modified = Some(Modified { seconds: i64::MIN, nanoseconds: u32::MAX });
        let attributes = Attributes { mode: Some(u32::MAX), modified };
        let file =
            Message::File { path: &[b'x'; PATH_BYTES_MAX], size: Some(u64::MAX), attributes };
        postcard::to_slice(&file, &mut room).unwrap();
        let reason = "ü".repeat(REASON_BYTES_MAX);
        assert_eq!(fitting(&reason).len(), REASON_BYTES_MAX);
        assert_eq!(fitting(&format!("x{reason}")).len(), REASON_BYTES_MAX - 1);
        postcard::to_slice(&Message::Fail(fitting(&reason)), &mut room).unwrap();
    }

    proptest! {
        #[test]
        fn no_control_body_makes_it_panic(body: Vec<u8>) {
            let _ = parse::<Message<'_>>(&body);
            let _ = parse::<Answer<'_>>(&body);
        }
    }
}
