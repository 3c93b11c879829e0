//! Line plots as SVG, by hand: axes, a grid, a legend, a shaded event. They are read on white and on
//! dark pages alike, so they bring their own background.

use core::fmt::Write as _;

/// One plot.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// The file's name, without `.svg`.
    pub name: String,
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub x: &'static str,
    /// Beside the vertical axis.
    pub y: &'static str,
    /// The horizontal axis is logarithmic.
    pub x_log: bool,
    /// Shaded from, to, and why.
    pub event: Option<(f64, f64, &'static str)>,
    /// Names and points, in the order of x.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    /// The share of messages that took at most so long, over the logarithm of that.
    #[must_use]
    pub fn distribution(name: String, title: String, samples: Vec<(String, Vec<f64>)>) -> Self {
        let series = samples.into_iter().map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            let count = values.len() as f64;
            let share = |(index, value): (usize, f64)| (value, (index + 1) as f64 / count * 100.0);
            (name, values.into_iter().enumerate().map(share).collect())
        });
        let series = series.collect();
        let (x, y) = ("latency, ms", "messages within it, %");
        Self { name, title, x, y, x_log: true, event: None, series }
    }

    /// The whole picture.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let xs = points().map(|point| point.0).filter(|x| !self.x_log || *x > 0.0);
        let across = Axis::new(xs, self.x_log, LEFT, WIDTH - RIGHT);
        let up = Axis::new(points().map(|point| point.1).chain([0.0]), false, HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        if let Some((from, to, why)) = self.event {
            let (from, to) = (across.place(from), across.place(to));
            let width = to - from;
            let height = HEIGHT - BOTTOM - TOP;
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\" fill=\"#fbe3dc\"/>"
            );
            text(&mut svg, f64::midpoint(from, to), TOP - 8.0, "middle", why);
        }
        self.draw_axes(&mut svg, &across, &up);
        for (index, (name, points)) in self.series.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            svg.push_str("<polyline fill=\"none\" stroke-width=\"1.8\" stroke-linejoin=\"round\" ");
            let _ = write!(svg, "stroke=\"{color}\" points=\"");
            for (x, y) in points.iter().filter(|(x, _)| !self.x_log || *x > 0.0) {
                let _ = write!(svg, "{:.1},{:.1} ", across.place(*x), up.place(*y));
            }
            svg.push_str("\"/>\n");
            let (x, y) = (WIDTH - RIGHT + 12.0, TOP + 12.0 + 18.0 * index as f64);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{color}\"/>",
                y - 6.0
            );
            text(&mut svg, x + 20.0, y, "start", name);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_axes(&self, svg: &mut String, across: &Axis, up: &Axis) {
        for tick in across.ticks() {
            let x = across.place(tick);
            line(svg, (x, TOP), (x, HEIGHT - BOTTOM));
            text(svg, x, HEIGHT - BOTTOM + 16.0, "middle", &format!("{tick}"));
        }
        for tick in up.ticks() {
            let y = up.place(tick);
            line(svg, (LEFT, y), (WIDTH - RIGHT, y));
            text(svg, LEFT - 6.0, y + 4.0, "end", &format!("{tick}"));
        }
        text(svg, f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 10.0, "middle", self.x);
        text(svg, LEFT - 40.0, TOP - 10.0, "start", self.y);
        text(svg, f64::midpoint(LEFT, WIDTH - RIGHT), 18.0, "middle", &self.title);
    }
}

/// Values to places on the page.
struct Axis {
    log: bool,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, log: bool, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (1.0, 10.0);
        }
        if log {
            (least, most) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
            most = most.max(least * 10.0);
        } else {
            most = most.max(least + 1e-9);
        }
        Self { log, least, most, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.least).log10() / (self.most / self.least).log10()
        } else {
            (value - self.least) / (self.most - self.least)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers to write beside it: 1, 2 or 5 times a power of ten apart, at most ten of them.
    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = (self.most / self.least).log10().round() as i32;
            return (0..=decades).map(|n| self.least * 10_f64.powi(n)).collect();
        }
        let power = 10_f64.powf(((self.most - self.least) / 10.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let fits = |step: &&f64| (self.most - self.least) / **step <= 10.0;
        let step = steps.iter().find(fits).copied().unwrap_or(10.0 * power);
        let first = (self.least / step).ceil() as i64;
        let last = (self.most / step).floor() as i64;
        // Thousandths are enough, and hide that 3 times 0.1 is not 0.3.
        (first..=last).map(|n| (n as f64 * step * 1e3).round() / 1e3).collect()
    }
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 48.0;
/// Told apart by most eyes (Okabe and Ito 2008).
const COLORS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let axis = Axis::new([0.0, 142.5].into_iter(), false, 0.0, 100.0);
        assert_eq!(axis.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0]);
        let axis = Axis::new([0.3, 2_500.0].into_iter(), true, 0.0, 100.0);
        assert_eq!(axis.ticks(), [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((axis.place(10.0) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn a_distribution_rises_to_all_of_them() {
        let samples = vec![("a < b".to_owned(), vec![20.0, 10.0, 0.0, 40.0])];
        let plot = Plot::distribution("d".into(), "t".into(), samples);
        assert_eq!(plot.series[0].1, [(0.0, 25.0), (10.0, 50.0), (20.0, 75.0), (40.0, 100.0)]);
        let svg = plot.to_svg();
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }

    #[test]
    fn nothing_at_all_is_still_a_picture() {
        assert!(!Plot::default().to_svg().contains("NaN"));
    }
}
