//! How a transfer is told: a bar with rate and time left and a line per path under it on a terminal, a line
//! per file everywhere, and the lines for programs.

use super::report::{Line, PathLine, Report};
use crate::human;
use crate::transfer::{Event, FileReport, Observer, Outcome};
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use ropewalk_core::id::PathId;
use std::sync::{Arc, Mutex, PoisonError};

const DRAW_EVERY: Duration = Duration::from_millis(200);

/// A path for the line under the bar.
#[derive(Clone, Debug)]
pub struct PathText {
    /// Which path.
    pub id: PathId,
    /// What it carried so far, for programs.
    pub line: PathLine,
    /// What is said of it to people.
    pub text: String,
}

impl PathText {
    /// The same when the path is no more.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.text = format!("{} to {}: gone", self.line.link, self.line.remote);
        self.line.state = "down";
        self
    }
}

/// Where a transfer's paths are looked up.
pub type Paths = Box<dyn Fn() -> Vec<PathText> + Send + Sync>;

/// Tells of one transfer.
pub struct Progress {
    report: Arc<Report>,
    paths: Paths,
    drawn: Option<Mutex<Drawn>>,
    moved: AtomicU64,
    /// What the paths carried that was credited to a file.
    credited: Mutex<Vec<PathLine>>,
}

struct Drawn {
    bar: ProgressBar,
    lines: Vec<ProgressBar>,
}

impl Progress {
    /// `total`: how much there is to move, where that is known.
    #[must_use]
    pub fn new(report: Arc<Report>, total: Option<u64>, paths: Paths) -> Self {
        let drawn = report.bars().map(|bars| {
            let bar = bars.add(ProgressBar::no_length().with_style(style(total.is_some())));
            if let Some(total) = total {
                bar.set_length(total);
            }
            Mutex::new(Drawn { bar, lines: Vec::new() })
        });
        Self { report, paths, drawn, moved: AtomicU64::new(0), credited: Mutex::default() }
    }

    /// So much there is to move, as is known now.
    pub fn expect(&self, total: u64) {
        if let Some(drawn) = &self.drawn {
            let drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            drawn.bar.set_style(style(true));
            drawn.bar.set_length(total);
        }
    }

    /// More moved, where no observer is told.
    pub fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    fn draw(&self) {
        let (Some(drawn), Some(bars)) = (&self.drawn, self.report.bars()) else { return };
        let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.bar.set_position(self.moved.load(Ordering::Relaxed));
        let paths = (self.paths)();
        while drawn.lines.len() < paths.len() {
            let plain = ProgressStyle::with_template("  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            drawn.lines.push(bars.add(ProgressBar::new_spinner().with_style(plain)));
        }
        for (line, path) in drawn.lines.iter().zip(&paths) {
            line.set_message(path.text.clone());
        }
    }

    /// Does `work`, and draws how it goes.
    pub async fn while_drawing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = core::pin::pin!(work);
        let mut tick = tokio::time::interval(DRAW_EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => self.draw(),
            }
        }
    }

    fn ended(&self, file: &FileReport) {
        match &file.outcome {
            Outcome::Stored | Outcome::Already => self.done(file),
            _ => tell_bad_end(&self.report, file),
        }
    }

    fn done(&self, file: &FileReport) {
        let already = file.outcome == Outcome::Already;
        let came = if already { 0 } else { file.came() };
        let rate = human::mbit_s(came, file.time);
        let paths = self.carried(came);
        self.report.line(&file_line(file, &paths));
        let mut size = human::bytes(file.bytes);
        if file.resumed > 0 {
            let _ = write!(size, " ({} were there)", human::bytes(file.resumed));
        }
        self.report.say(&match already {
            true => format!("{}: {size}, was there already", file.path),
            false if file.time < Duration::from_millis(1) => format!("{}: {size}", file.path),
            false => {
                format!(
                    "{}: {size} in {}, {}",
                    file.path,
                    human::time(file.time),
                    human::rate(rate)
                )
            }
        });
    }

    /// What each path carried for a file that moved `bytes`. Many files may be under way, and their
    /// verdicts come in any order, so each takes its length out of what the paths carried so far.
    fn carried(&self, bytes: u64) -> Vec<PathLine> {
        let now = (self.paths)().into_iter().map(|path| path.line).collect();
        credit(&mut self.credited.lock().unwrap_or_else(PoisonError::into_inner), now, bytes)
    }
}

impl Observer for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Began { .. } => {}
            Event::Moved(bytes) => self.moved(bytes),
            Event::LeftOut { path, reason } => {
                self.report.say(&format!("left out: {path}: {reason}"));
                self.report.line(&Line::LeftOut { path, reason });
            }
            Event::Ended(file) => self.ended(file),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(drawn) = &self.drawn {
            let drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            drawn.bar.finish_and_clear();
            drawn.lines.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// A file that is there, for programs. `paths`: what each carried of it.
pub(super) fn file_line<'l>(file: &'l FileReport, paths: &'l [PathLine]) -> Line<'l> {
    Line::File {
        path: &file.path,
        bytes: file.bytes,
        seconds: human::seconds(file.time),
        resumed: (file.resumed > 0).then_some(file.resumed),
        mbit_s: human::mbit_s(file.came(), file.time),
        blake3: file.blake3.map(|hash| human::hex(&hash)).unwrap_or_default(),
        paths,
        already: file.outcome == Outcome::Already,
    }
}

/// Tells of a file that is not there.
pub(super) fn tell_bad_end(report: &Report, file: &FileReport) {
    let path = file.path.as_str();
    match &file.outcome {
        Outcome::Stored | Outcome::Already => {}
        Outcome::Refused(reason) => {
            report.say(&format!("refused: {path}: {reason}"));
            report.line(&Line::Refused { path, reason });
        }
        Outcome::Failed(reason) => {
            report.say(&format!("failed: {path}: {reason}"));
            report.line(&Line::Failed { path, reason });
        }
        Outcome::Corrupt => {
            let reason = "what arrived is not what was sent (BLAKE3 differs); it was thrown away";
            report.say(&format!("failed: {path}: {reason}"));
            report.line(&Line::Failed { path, reason });
        }
        Outcome::Stopped { kept } => {
            let kept = kept.as_deref();
            let where_to =
                kept.map(|kept| format!(": what came is kept as {kept}")).unwrap_or_default();
            report.say(&format!("stopped: {path}{where_to}"));
            report.line(&Line::Stopped { path, kept });
        }
    }
}

/// Splits `bytes` over the paths by what each carried that is not in `credited` yet, and enters it there.
fn credit(credited: &mut Vec<PathLine>, mut now: Vec<PathLine>, bytes: u64) -> Vec<PathLine> {
    let free = |path: &PathLine, credited: &[PathLine]| {
        let old = credited.iter().find(|old| old.is_same_path(path)).map_or(0, |old| old.bytes);
        path.bytes.saturating_sub(old)
    };
    let total: u64 = now.iter().map(|path| free(path, credited)).sum();
    for path in &mut now {
        let share = u128::from(free(path, credited)) * u128::from(bytes) / u128::from(total.max(1));
        path.bytes = u64::try_from(share).unwrap_or(u64::MAX).min(free(path, credited));
        match credited.iter_mut().find(|old| old.is_same_path(path)) {
            Some(old) => old.bytes += path.bytes,
            None => credited.push(path.clone()),
        }
    }
    now
}

fn style(has_length: bool) -> ProgressStyle {
    let template = if has_length {
        "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left"
    } else {
        "{spinner} {bytes} {binary_bytes_per_sec} {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_takes_its_length_out_of_what_the_paths_carried() {
        let path = |link: &str, bytes| PathLine {
            link: link.into(),
            local: "a".into(),
            remote: "b".into(),
            bytes,
            datagram_bytes: 1_472,
            state: "active",
        };
        let mut credited = Vec::new();
        let now = || vec![path("eth0", 3_000), path("wlan0", 1_000)];
        assert_eq!(credit(&mut credited, now(), 400), [path("eth0", 300), path("wlan0", 100)]);
        assert_eq!(credit(&mut credited, now(), 0), [path("eth0", 0), path("wlan0", 0)]);
        assert_eq!(credit(&mut credited, now(), 3_600), [path("eth0", 2_700), path("wlan0", 900)]);
        assert_eq!(credit(&mut credited, now(), 5), [path("eth0", 0), path("wlan0", 0)]);
        let more = vec![path("eth0", 3_000), path("wlan0", 1_000), path("eth1", 7)];
        assert_eq!(credit(&mut credited, more, u64::MAX)[2], path("eth1", 7));
    }

    #[test]
    fn both_styles_are_understood() {
        for has_length in [true, false] {
            let _ = style(has_length);
        }
        assert!(
            ProgressStyle::with_template(
                "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left"
            )
            .is_ok()
        );
    }
}
