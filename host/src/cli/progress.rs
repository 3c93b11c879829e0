//! How a transfer is told: a bar with rate and time left and a line per path under it on a terminal, a line
//! per file everywhere, and the lines for programs.

use super::report::{Line, PathLine, Report};
use crate::human;
use crate::transfer::{Event, FileReport, Observer, Outcome};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use ropewalk_core::id::PathId;
use std::collections::VecDeque;
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
    /// The files that are not done with.
    spans: Mutex<VecDeque<Span>>,
}

/// What the paths had carried when a file began, and when the next one did.
struct Span {
    path: String,
    from: Vec<PathLine>,
    to: Option<Vec<PathLine>>,
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
        Self { report, paths, drawn, moved: AtomicU64::new(0), spans: Mutex::default() }
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
        let path = file.path.as_str();
        if !matches!(file.outcome, Outcome::Stored | Outcome::Already) {
            self.carried(path);
        }
        match &file.outcome {
            Outcome::Stored | Outcome::Already => self.done(file),
            Outcome::Refused(reason) => {
                self.report.say(&format!("refused: {path}: {reason}"));
                self.report.line(&Line::Refused { path, reason });
            }
            Outcome::Failed(reason) => {
                self.report.say(&format!("failed: {path}: {reason}"));
                self.report.line(&Line::Failed { path, reason });
            }
            Outcome::Corrupt => {
                let reason =
                    "what arrived is not what was sent (BLAKE3 differs); it was thrown away";
                self.report.say(&format!("failed: {path}: {reason}"));
                self.report.line(&Line::Failed { path, reason });
            }
            Outcome::Stopped { kept } => {
                let kept = kept.as_deref();
                let where_to =
                    kept.map(|kept| format!(": what came is kept as {kept}")).unwrap_or_default();
                self.report.say(&format!("stopped: {path}{where_to}"));
                self.report.line(&Line::Stopped { path, kept });
            }
        }
    }

    fn done(&self, file: &FileReport) {
        let already = file.outcome == Outcome::Already;
        let rate = human::mbit_s(file.bytes, file.time);
        self.report.line(&Line::File {
            path: &file.path,
            bytes: file.bytes,
            seconds: human::seconds(file.time),
            mbit_s: rate,
            blake3: file.blake3.map(|hash| human::hex(&hash)).unwrap_or_default(),
            paths: &self.carried(&file.path),
            already,
        });
        let size = human::bytes(file.bytes);
        self.report.say(&match already {
            true => format!("{}: {size}, was there already", file.path),
            false if file.time < Duration::from_millis(1) => format!("{}: {size}", file.path),
            false => {
                format!("{}: {size} in {}, {rate:.1} Mbit/s", file.path, human::time(file.time))
            }
        });
    }

    fn began(&self, path: &str) {
        let now = self.lines();
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = spans.back_mut() {
            before.to.get_or_insert_with(|| now.clone());
        }
        spans.push_back(Span { path: path.into(), from: now, to: None });
    }

    /// What each path carried for this file, whose verdict may come when others are on their way.
    fn carried(&self, path: &str) -> Vec<PathLine> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spans.iter().position(|span| span.path == path);
        let Some(span) = found.and_then(|place| spans.remove(place)) else { return Vec::new() };
        drop(spans);
        since(&span.from, span.to.unwrap_or_else(|| self.lines()))
    }

    fn lines(&self) -> Vec<PathLine> {
        (self.paths)().into_iter().map(|path| path.line).collect()
    }
}

impl Observer for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Began { path, .. } => self.began(path),
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

/// What each path carried since `before`.
fn since(before: &[PathLine], mut now: Vec<PathLine>) -> Vec<PathLine> {
    for path in &mut now {
        let same = |old: &&PathLine| {
            (&old.link, &old.local, &old.remote) == (&path.link, &path.local, &path.remote)
        };
        let old = before.iter().find(same).map_or(0, |old| old.bytes);
        path.bytes = path.bytes.saturating_sub(old);
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
    fn a_file_is_credited_with_what_the_paths_did_for_it_alone() {
        let path = |link: &str, bytes| PathLine {
            link: link.into(),
            local: "a".into(),
            remote: "b".into(),
            bytes,
            state: "active",
        };
        let now = since(&[path("eth0", 10)], vec![path("eth0", 25), path("wlan0", 7)]);
        assert_eq!(now, [path("eth0", 15), path("wlan0", 7)]);
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
