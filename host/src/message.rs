//! A message: one text over one stream of the service `message`. The receiver answers when it has it.
//!
//! ```text
//! sender    UTF-8, end of stream
//! receiver                        "got it\n", end of stream
//! ```

use crate::transfer::TransferError;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The name of the service.
pub const SERVICE: &str = "message";

/// Longest message. Longer texts are files.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

const ANSWER: &[u8] = b"got it\n";

/// Sends `text` and waits until the receiver has it.
///
/// # Errors
/// When the stream breaks first.
pub async fn send<R, W>(reader: R, mut writer: W, text: &str) -> Result<(), TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    writer.write_all(text.as_bytes()).await.map_err(TransferError::Lost)?;
    writer.shutdown().await.map_err(TransferError::Lost)?;
    let mut answer = Vec::new();
    reader.take(ANSWER.len() as u64).read_to_end(&mut answer).await.map_err(TransferError::Lost)?;
    if answer == ANSWER {
        Ok(())
    } else {
        Err(TransferError::Lost(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Receives a text.
///
/// # Errors
/// When the stream breaks, or brings no text, or too much.
pub async fn receive<R, W>(reader: R, mut writer: W) -> Result<String, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    reader.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(TransferError::Lost)?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(TransferError::Protocol("the message is too long"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| TransferError::Protocol("the message is not UTF-8"))?;
    writer.write_all(ANSWER).await.map_err(TransferError::Lost)?;
    // A sender that has heard this may hang up before we hear that it has.
    let _ = writer.shutdown().await;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_arrives_and_the_sender_knows() {
        for text in ["", "the door is open", "ü\n文件"] {
            let (left, right) = tokio::io::duplex(4);
            let (left_read, left_write) = tokio::io::split(left);
            let (right_read, right_write) = tokio::io::split(right);
            let (sent, received) =
                tokio::join!(send(left_read, left_write, text), receive(right_read, right_write));
            sent.unwrap();
            assert_eq!(received.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        let long = tokio::io::repeat(b'x').take(TEXT_BYTES_MAX + 1);
        let error = receive(long, tokio::io::sink()).await.unwrap_err();
        assert!(matches!(error, TransferError::Protocol(_)), "{error}");
        let error = receive(&b"\xff"[..], tokio::io::sink()).await.unwrap_err();
        assert!(matches!(error, TransferError::Protocol(_)), "{error}");
        let error = send(tokio::io::empty(), tokio::io::sink(), "x").await.unwrap_err();
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
    }
}
