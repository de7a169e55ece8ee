//! The medians as bars, a group for each work; every group has its own scale.

use crate::report::Row;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 240.0;
const BAR: f64 = 16.0;
const LINE: f64 = 22.0;

/// An SVG of all rows.
pub fn of(rows: &[Row]) -> String {
    let mut works: Vec<&str> = rows.iter().map(|row| row.work.as_str()).collect();
    // Rows of one work stand together.
    works.dedup();
    let (mut body, mut y) = (String::new(), 20.0);
    for work in works {
        let of: Vec<(&Row, f64)> =
            rows.iter().filter(|row| row.work == work).filter_map(|row| Some((row, row.median?))).collect();
        let most = of.iter().map(|(_, time)| *time).fold(0.001, f64::max);
        // A String takes whatever is written to it.
        let _whole = writeln!(body, "<text x=\"10\" y=\"{y}\" font-weight=\"bold\">{}</text>", escaped(work));
        y += 8.0;
        for (row, time) in of {
            let length = (WIDTH - LEFT - 110.0) * time / most;
            let colour = match row.who.as_str() {
                "floor" | "nsenter" | crate::pull::BOUND => "#9aa5b1",
                who if who.starts_with("devoxx") => "#0b7285",
                _ => "#e8a33d",
            };
            let _whole = writeln!(
                body,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\">{time:.2} ms</text>",
                LEFT - 8.0,
                y + 13.0,
                escaped(&row.who),
                LEFT + length + 6.0,
                y + 13.0,
            );
            y += LINE;
        }
        y += 26.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
