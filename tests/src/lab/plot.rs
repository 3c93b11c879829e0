//! A chart and the file it goes to.

use ropewalk::chart::{Chart, Series};

/// One plot.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// The file's name, without `.svg`.
    pub name: String,
    /// What is in it.
    pub chart: Chart,
}

impl Plot {
    /// The share of messages that took at most so long, over the logarithm of that.
    #[must_use]
    pub fn distribution(name: String, title: String, samples: Vec<(String, Vec<f64>)>) -> Self {
        let series = samples.into_iter().map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            let count = values.len() as f64;
            let share = |(index, value): (usize, f64)| (value, (index + 1) as f64 / count * 100.0);
            Series { name, points: values.into_iter().enumerate().map(share).collect() }
        });
        let series = series.collect();
        let (x, y) = ("latency, ms", "messages within it, %");
        Self { name, chart: Chart { title, x, y, x_log: true, event: None, series } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_rises_to_all_of_them() {
        let samples = vec![("a < b".to_owned(), vec![20.0, 10.0, 0.0, 40.0])];
        let plot = Plot::distribution("d".into(), "t".into(), samples);
        let [series] = plot.chart.series.as_slice() else { panic!("{plot:?}") };
        assert_eq!(series.points, [(0.0, 25.0), (10.0, 50.0), (20.0, 75.0), (40.0, 100.0)]);
        assert!(plot.chart.to_svg().contains("a &lt; b"));
    }
}
