//! What boards tell of themselves ([`ropewalk_core::application::telemetry`]), as it comes.

pub use ropewalk_core::application::telemetry::{PathTelemetry, SERVICE, Telemetry};

use crate::transfer::TransferError;
use ropewalk_core::application::telemetry::RECORD_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Takes in records until the stream ends; `each` is told of every one.
///
/// # Errors
/// When the stream breaks, or brings what is no record.
pub async fn receive<R: AsyncRead + Unpin>(
    mut reader: R,
    mut each: impl FnMut(&Telemetry),
) -> Result<(), TransferError> {
    let mut room = [0; RECORD_BYTES_MAX];
    loop {
        let mut length = [0; LENGTH_BYTES];
        let (first, second) = length.split_at_mut(1);
        if reader.read(first).await.map_err(TransferError::Lost)? == 0 {
            return Ok(());
        }
        reader.read_exact(second).await.map_err(TransferError::Lost)?;
        let record = room
            .get_mut(LENGTH_BYTES..)
            .and_then(|room| room.get_mut(..u16::from_le_bytes(length).into()))
            .ok_or(TransferError::Protocol("a record of telemetry is too long"))?;
        reader.read_exact(record).await.map_err(TransferError::Lost)?;
        let record = Telemetry::decode(record)
            .ok_or(TransferError::Protocol("a record of telemetry is none"))?;
        each(&record);
    }
}

const LENGTH_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ropewalk_core::id::LinkId;

    fn record(count: u32) -> Telemetry {
        let path = PathTelemetry {
            path: 2,
            link: LinkId(1),
            active: true,
            rtt_us: 900,
            sent: 10_000,
            received: 300,
            lost: 4,
        };
        let paths = [path].into_iter().collect();
        Telemetry { count, boot: 3, uptime_ms: 61_500, turn_max_us: 1_200, paths }
    }

    fn bytes(record: &Telemetry) -> Vec<u8> {
        let mut room = [0; RECORD_BYTES_MAX];
        let len = record.encode(&mut room).unwrap();
        room[..len].to_vec()
    }

    async fn received(bytes: &[u8]) -> (Vec<Telemetry>, Result<(), TransferError>) {
        let mut records = Vec::new();
        let ended = receive(bytes, |record| records.push(record.clone())).await;
        (records, ended)
    }

    #[tokio::test]
    async fn records_come_one_after_another() {
        let all: Vec<_> = (0..3).map(record).collect();
        let line: Vec<u8> = all.iter().flat_map(bytes).collect();
        let (records, ended) = received(&line).await;
        ended.unwrap();
        assert_eq!(records, all);
        let (records, ended) = received(&line[..line.len() - 1]).await;
        assert!(matches!(ended, Err(TransferError::Lost(_))));
        assert_eq!(records, all[..2]);
    }

    #[tokio::test]
    async fn what_is_no_record_is_refused() {
        let good = bytes(&record(0));
        let mut damaged = good.clone();
        // A count of paths that no connection has.
        let at = damaged.len() - 10;
        damaged[at..].fill(0xff);
        let empty = vec![0, 0];
        for bad in
            [vec![0xff, 0xff], (RECORD_BYTES_MAX as u16).to_le_bytes().to_vec(), damaged, empty]
        {
            let (records, ended) = received(&[&good[..], &bad].concat()).await;
            assert!(matches!(ended, Err(TransferError::Protocol(_))), "{bad:?}: {ended:?}");
            assert_eq!(records.len(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(received(&bytes));
        }
    }
}
