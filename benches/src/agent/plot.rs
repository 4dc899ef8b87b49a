//! Answers per second as bars on a logarithmic scale. Written by hand, as SVG needs no library.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 280.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 76.0;
const BAR: f64 = 30.0;
const GAP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
/// The axis goes from 100 to 1,000,000.
const FROM: f64 = 2.0;
const DECADES: f64 = 4.0;

const GROUND: &str = "#f7f7f4";
const INK: &str = "#24292f";
const FAINT: &str = "#c9cbc6";
const OURS: &str = "#2f6f9f";
const OTHERS: &str = "#9aa5ad";

/// One bar: what, answers per second, whether it is ours.
pub type Bar<'a> = (&'a str, f64, bool);

/// Draws them under a title.
pub fn svg(title: &str, subtitle: &str, bars: &[Bar<'_>]) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let bottom = TOP + bars.len() as f64 * (BAR + GAP);
    let height = bottom + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\" role=\"img\" \
         aria-label=\"{title}\">\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    let _ = writeln!(out, "<text x=\"24\" y=\"30\" font-size=\"17\" font-weight=\"600\">{title}</text>");
    let _ = writeln!(out, "<text x=\"24\" y=\"50\">{subtitle}</text>");
    for (decade, label) in ["100", "1,000", "10,000", "100,000", "1,000,000"].iter().enumerate() {
        let x = x(10_f64.powi(2 + i32::try_from(decade).unwrap_or(0)));
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"{FAINT}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{label}</text>",
            bottom + 18.0
        );
    }
    let mut top = TOP + GAP / 2.0;
    for (name, per_second, ours) in bars {
        let (end, middle) = (x(*per_second), top + BAR / 2.0 + 4.5);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.1}\" font-weight=\"600\">{per_second:.0}</text>",
            LEFT - 10.0,
            end - LEFT,
            if *ours { OURS } else { OTHERS },
            end + 8.0,
        );
        top += BAR + GAP;
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">answers per second (logarithmic)</text>\n</svg>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        bottom + 40.0
    );
    out
}

fn x(per_second: f64) -> f64 {
    let part = ((per_second.max(1.0).log10() - FROM) / DECADES).clamp(0.0, 1.0);
    LEFT + (WIDTH - LEFT - RIGHT) * part
}
