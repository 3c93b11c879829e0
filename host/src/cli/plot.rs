//! `--plot FILE.svg`: the rate of each path over time, and of all together, as a picture.
//!
//! What the paths carried is looked at ten times a second. A measurement that takes long is looked at
//! less often, so that the picture and the memory it needs keep their size.

use super::exit::{Code, Failure};
use super::progress::Paths;
use crate::chart::{Chart, Series};
use core::time::Duration;
use ropewalk_core::id::PathId;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// A file that a picture goes to.
#[derive(Debug)]
pub struct Plot {
    path: PathBuf,
}

impl Plot {
    /// Makes the file, so that a name that cannot be written is told before anything is measured.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: PathBuf) -> Result<Self, Failure> {
        let plot = Self { path };
        plot.write("")?;
        Ok(plot)
    }

    /// Does `work`, and draws what the paths carried meanwhile.
    ///
    /// # Errors
    /// When the picture cannot be written.
    pub async fn of<T>(&self, paths: Paths, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = core::pin::pin!(work);
        let mut record = Record::new();
        let mut tick = tokio::time::interval(EVERY);
        let (start, mut next) = (Instant::now(), Duration::ZERO);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => {
                    let now = start.elapsed();
                    if now >= next {
                        record.take(now, &paths);
                        next = now + record.every - EVERY / 2;
                    }
                }
            }
        };
        record.take(start.elapsed(), &paths);
        let title = "Rate of each path".to_owned();
        let (x, y, series) = ("time, s", "Mbit/s", record.rates());
        self.write(&Chart { title, x, y, series, ..Chart::default() }.to_svg())?;
        Ok(done)
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let why = |cause| {
            let path = self.path.display();
            let text =
                format!("cannot write the plot to {path}: {cause}; name another with --plot");
            Failure::new(Code::Failed, text)
        };
        File::create(&self.path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(why)
    }
}

/// What each path had carried, at moments.
#[derive(Debug)]
struct Record {
    every: Duration,
    moments: Vec<(Duration, Vec<(PathId, u64)>)>,
    names: Vec<(PathId, String)>,
}

impl Record {
    const fn new() -> Self {
        Self { every: EVERY, moments: Vec::new(), names: Vec::new() }
    }

    fn take(&mut self, now: Duration, paths: &Paths) {
        let mut carried = Vec::new();
        for path in paths() {
            if !self.names.iter().any(|(id, _)| *id == path.id) {
                self.names.push((path.id, format!("{} to {}", path.line.link, path.line.remote)));
            }
            carried.push((path.id, path.line.bytes));
        }
        self.note(now, carried);
    }

    fn note(&mut self, now: Duration, carried: Vec<(PathId, u64)>) {
        self.moments.push((now, carried));
        if self.moments.len() >= MOMENTS_MAX {
            let mut keep = false;
            self.moments.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }

    /// Megabits a second between each two moments, for each path and, if there are several, in all.
    fn rates(&self) -> Vec<Series> {
        let named = self.names.iter().map(|(id, name)| self.series(name, &[*id]));
        let all: Vec<PathId> = self.names.iter().map(|(id, _)| *id).collect();
        let sum = (all.len() > 1).then(|| self.series("all paths", &all));
        named.chain(sum).collect()
    }

    fn series(&self, name: &str, ids: &[PathId]) -> Series {
        let carried = |moment: &[(PathId, u64)]| -> u64 {
            moment.iter().filter(|(id, _)| ids.contains(id)).map(|(_, bytes)| bytes).sum()
        };
        let rate = |pair: &[(Duration, Vec<(PathId, u64)>)]| {
            let [(from, before), (to, after)] = pair else { return None };
            let time = to.saturating_sub(*from).as_secs_f64();
            let bytes = carried(after).saturating_sub(carried(before));
            (time > 0.0).then(|| (to.as_secs_f64(), bytes as f64 * 8e-6 / time))
        };
        Series { name: name.to_owned(), points: self.moments.windows(2).filter_map(rate).collect() }
    }
}

const EVERY: Duration = Duration::from_millis(100);
const MOMENTS_MAX: usize = 1_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_came_between_two_moments() {
        let (a, b) = (PathId(0), PathId(2));
        let mut record = Record::new();
        record.names = vec![(a, "a".into()), (b, "b".into())];
        let ms = Duration::from_millis;
        record.note(ms(0), vec![(a, 0)]);
        record.note(ms(100), vec![(a, 125_000)]);
        record.note(ms(300), vec![(a, 125_000), (b, 250_000)]);
        let rates = record.rates();
        let names: Vec<&str> = rates.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "all paths"]);
        let values = |index: usize| -> Vec<f64> {
            rates[index].points.iter().map(|(_, rate)| rate.round()).collect()
        };
        assert_eq!([values(0), values(1), values(2)], [[10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]);
    }

    #[test]
    fn a_long_measurement_takes_no_more_memory() {
        let mut record = Record::new();
        let (mut now, day) = (Duration::ZERO, Duration::from_secs(86_400));
        while now < day {
            record.note(now, Vec::new());
            now += record.every;
        }
        assert!(record.moments.len() < MOMENTS_MAX && record.every > EVERY);
        assert_eq!(record.moments[0].0, Duration::ZERO, "the beginning stays");
    }

    #[test]
    fn a_name_that_cannot_be_written_is_told() {
        let failure = Plot::create("/no/such/folder/a.svg".into()).unwrap_err();
        assert!(failure.message.contains("/no/such/folder/a.svg"), "{}", failure.message);
    }
}
