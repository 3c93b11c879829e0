//! Line charts of measurements as SVG: what `--plot` writes, and the lab.
//!
//! They are read on white and on dark pages alike, so they bring their own background.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub x: &'static str,
    /// Beside the vertical axis, which begins at zero.
    pub y: &'static str,
    /// The horizontal axis is logarithmic: points at zero are left out.
    pub x_log: bool,
    /// Shaded from, to, and why.
    pub event: Option<(f64, f64, &'static str)>,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// The whole picture.
    ///
    /// # Panics
    /// Never: a string takes all that is drawn into it.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let x = range(self.points().map(|(x, _)| x));
        let drawn = if self.x_log {
            self.draw(&area, (x.start..x.end.max(x.start * 10.0)).log_scale(), &x)
        } else {
            self.draw(&area, x.clone(), &x)
        };
        drawn.and_then(|()| area.present()).expect("a string takes all");
        drop(area);
        svg
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| self.points_of(series))
    }

    /// Those that can be drawn.
    fn points_of<'s>(&self, series: &'s Series) -> impl Iterator<Item = (f64, f64)> + use<'s> {
        let x_log = self.x_log;
        let points = series.points.iter().copied();
        points.filter(move |(x, y)| x.is_finite() && y.is_finite() && !(x_log && *x <= 0.0))
    }

    fn draw<X>(&self, area: &Area<'_>, across: X, x: &core::ops::Range<f64>) -> Drawn
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let up = 0.0..range(self.points().map(|(_, y)| y)).end * 1.05;
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(across, up.clone())?;
        if let Some((from, to, why)) = self.event {
            let corners = [(from.max(x.start), 0.0), (to.min(x.end), up.end)];
            chart.draw_series([Rectangle::new(corners, EVENT.filled())])?;
            let style = ("sans-serif", 12).into_text_style(area).pos(LEFT_TOP);
            chart.draw_series([Text::new(why, (corners[0].0, up.end), style)])?;
        }
        let number = |value: &f64| format!("{}", (value * 1e6).round() / 1e6);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let points = self.points_of(series);
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(&series.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(4))
                });
        }
        if !self.series.is_empty() {
            let background = WHITE.mix(0.8);
            let corner = if self.x_log {
                SeriesLabelPosition::LowerRight
            } else {
                SeriesLabelPosition::UpperRight
            };
            chart.configure_series_labels().position(corner).background_style(background).draw()?;
        }
        Ok(())
    }
}

/// From the least to the most, and never empty.
fn range(values: impl Iterator<Item = f64>) -> core::ops::Range<f64> {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    match least.partial_cmp(&most) {
        Some(core::cmp::Ordering::Less) => least..most,
        Some(core::cmp::Ordering::Equal) => least..least + 1.0,
        _ => 1.0..2.0,
    }
}

type Area<'svg> = DrawingArea<SVGBackend<'svg>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

const SIZE: (u32, u32) = (860, 360);
const EVENT: RGBColor = RGBColor(0xfb, 0xe3, 0xdc);
const LEFT_TOP: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Top };
/// Okabe and Ito's, which colour-blind people can tell apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x44, 0x44, 0x44),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series { name: name.into(), points: points.to_vec() }
    }

    #[test]
    fn every_series_has_its_line_and_its_name() {
        let series = vec![series("a<b>&c", &[(0.0, 0.0), (1.0, 10.0)]), series("empty", &[])];
        let chart = Chart { title: "T".into(), x: "s", y: "Mbit/s", series, ..Chart::default() };
        let svg = chart.to_svg();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("a&lt;b&gt;&amp;c") && svg.contains("empty"), "{svg}");
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let odd = [(0.0, 1.0), (f64::NAN, 2.0), (3.0, f64::INFINITY), (10.0, 3.0), (10.0, 4.0)];
        for x_log in [false, true] {
            for points in [&odd[..], &odd[..1], &[]] {
                let event = Some((2.0, 5.0, "event"));
                let series = vec![series("odd", points)];
                let svg = Chart { x_log, event, series, ..Chart::default() }.to_svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
