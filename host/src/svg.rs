//! Line charts as SVG, small enough to read: axes with round numbers, a line for each series, a legend.

use core::fmt::Write;

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of all series over the same axes, which begin at zero.
#[must_use]
pub fn chart(title: &str, x_unit: &str, y_unit: &str, series: &[Series]) -> String {
    let all = || series.iter().flat_map(|series| &series.points);
    let x = Axis::up_to(all().map(|point| point.0).fold(0.0, f64::max), WIDTH);
    let y = Axis::up_to(all().map(|point| point.1).fold(0.0, f64::max), HEIGHT);
    let (full_width, full_height) =
        (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM + LEGEND_LINE * series.len() as f64);
    let mut out = String::new();
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_width} {full_height}" font-family="sans-serif" font-size="12" fill="#333">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="20" font-size="15">{}</text>"##,
        escaped(title)
    );
    for tick in x.ticks() {
        let at = LEFT + x.place(tick);
        let _ = writeln!(
            out,
            r##"<path d="M{at:.1} {TOP}v{HEIGHT}" stroke="#e4e4e4"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{tick}</text>"##,
            TOP + HEIGHT + 16.0
        );
    }
    for tick in y.ticks() {
        let at = TOP + HEIGHT - y.place(tick);
        let _ = writeln!(
            out,
            r##"<path d="M{LEFT} {at:.1}h{WIDTH}" stroke="#e4e4e4"/><text x="{:.1}" y="{:.1}" text-anchor="end">{tick}</text>"##,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let _ = writeln!(
        out,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><text x="{:.1}" y="{:.1}">{}</text>"#,
        LEFT + WIDTH,
        TOP + HEIGHT + 34.0,
        escaped(x_unit),
        6.0,
        TOP - 8.0,
        escaped(y_unit)
    );
    for (number, series) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points = series.points.iter().map(|(at, value)| {
            format!("{:.1},{:.1}", LEFT + x.place(*at), TOP + HEIGHT - y.place(*value))
        });
        let line = TOP + HEIGHT + BOTTOM + LEGEND_LINE * number as f64;
        let _ = writeln!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{}"/>
<path d="M{LEFT} {line:.1}h24" stroke="{colour}" stroke-width="3"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            points.collect::<Vec<_>>().join(" "),
            LEFT + 32.0,
            line + 4.0,
            escaped(&series.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// From zero to a round number.
struct Axis {
    end: f64,
    step: f64,
    length: f64,
}

impl Axis {
    /// The steps are 1, 2 or 5 times a power of ten, some five of them.
    fn up_to(largest: f64, length: f64) -> Self {
        let largest = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
        let rough = largest / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * power >= rough);
        let step = round.unwrap_or(10.0) * power;
        Self { end: (largest / step).ceil() * step, step, length }
    }

    fn place(&self, value: f64) -> f64 {
        value / self.end * self.length
    }

    /// Rounded, since 3 times 0.1 is not 0.3 to a computer.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as u32;
        (0..=count).map(|tick| (f64::from(tick) * self.step * 1e6).round() / 1e6)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 50.0;
const LEGEND_LINE: f64 = 20.0;
/// Okabe and Ito's, which colour-blind people can tell apart.
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let ticks = |largest| Axis::up_to(largest, 1.0).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(97.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(0.3), [0.0, 0.1, 0.2, 0.3]);
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ticks(nothing), ticks(1.0));
        }
    }

    #[test]
    fn every_series_has_its_line_and_its_name() {
        let series = |name: &str, points: &[(f64, f64)]| Series {
            name: name.into(),
            points: points.to_vec(),
        };
        let all = [series("a<b>&c", &[(0.0, 0.0), (1.0, 10.0)]), series("empty", &[])];
        let text = chart("T", "s", "Mbit/s", &all);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}");
        assert!(text.contains(r#"points="60.0,332.0 780.0,52.0""#), "{text}");
        assert!(text.contains("a&lt;b&gt;&amp;c") && text.contains(">empty<"), "{text}");
        assert_eq!(text.matches("<polyline").count(), 2);
    }
}
