//! The figures as a picture: one strip per policy, requests per second on a logarithmic scale. Written by hand, as SVG
//! needs no library.

use std::fmt::Write as _;

use super::Figures;

/// Minutes shown before the outage and after it.
const BEFORE: usize = 5;
const AFTER: usize = 15;

/// Sizes in pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 100.0;
const BOTTOM: f64 = 56.0;
const STRIP: f64 = 112.0;
const GAP: f64 = 38.0;
/// Powers of ten on the vertical axis: 1 to 100,000.
const DECADES: f64 = 5.0;
/// So many seconds are drawn as one column, which shows the busiest of them.
const COLUMN: usize = 2;

/// A light ground of its own, so that it reads on a dark page as on a light one.
const GROUND: &str = "#f7f7f4";
const INK: &str = "#24292f";
const FAINT: &str = "#c9cbc6";
const OUTAGE: &str = "#f3c9c0";
const STEADY: &str = "#b4530a";
const REQUESTS: &str = "#2f6f9f";

/// Draws the strips under a title.
pub fn svg(title: &str, subtitle: &str, strips: &[(String, Figures)]) -> String {
    let height = TOP + count(strips.len()) * (STRIP + GAP) - GAP + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\" role=\"img\" \
         aria-label=\"{title}\">\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    text(&mut out, LEFT, 28.0, "start", "font-size=\"17\" font-weight=\"600\"", title);
    text(&mut out, LEFT, 48.0, "start", "", subtitle);
    legend(&mut out);
    for (number, (name, figures)) in strips.iter().enumerate() {
        strip(&mut out, TOP + count(number) * (STRIP + GAP), name, figures);
    }
    let axis = height - BOTTOM;
    let minutes = outage_minutes(strips);
    for minute in (0..=BEFORE + minutes + AFTER).step_by(5) {
        let label = format!("{}", minute.cast_signed() - BEFORE.cast_signed());
        text(&mut out, x(minute * 60, minutes), axis + 18.0, "middle", "", &label);
    }
    let label = "minutes since Vault went away";
    text(&mut out, f64::midpoint(LEFT, WIDTH - RIGHT), axis + 40.0, "middle", "", label);
    out.push_str("</svg>\n");
    out
}

fn strip(out: &mut String, top: f64, name: &str, figures: &Figures) {
    let bottom = top + STRIP;
    let minutes = figures.outage.len() / 60;
    let (from, to) = (x(BEFORE * 60, minutes), x((BEFORE + minutes) * 60, minutes));
    let width = to - from;
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{STRIP}\" fill=\"{OUTAGE}\"/>"
    );
    for decade in 0..=5 {
        let y = bottom - STRIP * f64::from(decade) / DECADES;
        line(out, (LEFT, y), (WIDTH - RIGHT, y), FAINT, "stroke-width=\"0.7\"");
        if decade % 2 == 1 || decade == 0 {
            let label =
                ["1", "10", "100", "1,000", "10,000", "100,000"][usize::try_from(decade).unwrap_or(0)];
            text(out, LEFT - 8.0, y + 4.0, "end", "font-size=\"11\"", label);
        }
    }
    let first = figures.outage.start.saturating_sub(BEFORE * 60);
    let last = figures.outage.end + AFTER * 60;
    let mut area = format!("M{LEFT:.1} {bottom:.1}");
    let shown = figures.per_second.get(first..last.min(figures.per_second.len())).unwrap_or_default();
    for (column, seconds) in shown.chunks(COLUMN).enumerate() {
        let busiest = seconds.iter().copied().max().unwrap_or(0);
        let (left, right) = (x(column * COLUMN, minutes), x((column + 1) * COLUMN, minutes));
        let y = y(f64::from(busiest), bottom);
        let _ = write!(area, "L{left:.1} {y:.1}L{right:.1} {y:.1}");
    }
    let _ = writeln!(
        out,
        "<path d=\"{area}L{:.1} {bottom:.1}Z\" fill=\"{REQUESTS}\" fill-opacity=\"0.85\"/>",
        WIDTH - RIGHT
    );
    let steady = y(figures.steady, bottom);
    line(
        out,
        (LEFT, steady),
        (WIDTH - RIGHT, steady),
        STEADY,
        "stroke-width=\"1.6\" stroke-dasharray=\"6 4\"",
    );
    text(out, LEFT, top - 9.0, "start", "font-weight=\"600\"", name);
    let summary = format!(
        "steady {:.0}/s · busiest second while away {} · after its return {} ({:.1} × steady)",
        figures.steady,
        figures.outage_peak,
        figures.recovery_peak,
        figures.recovery_ratio()
    );
    text(out, WIDTH - RIGHT, top - 9.0, "end", "", &summary);
}

fn legend(out: &mut String) {
    let y = 62.0;
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{}\" width=\"14\" height=\"10\" fill=\"{REQUESTS}\" fill-opacity=\"0.85\"/>",
        y - 9.0
    );
    text(out, LEFT + 20.0, y, "start", "font-size=\"12\"", "requests per second (logarithmic)");
    line(
        out,
        (LEFT + 232.0, y - 4.0),
        (LEFT + 258.0, y - 4.0),
        STEADY,
        "stroke-width=\"1.6\" stroke-dasharray=\"6 4\"",
    );
    text(out, LEFT + 264.0, y, "start", "font-size=\"12\"", "mean of the half hour before");
    let _ = writeln!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"10\" fill=\"{OUTAGE}\"/>",
        LEFT + 450.0,
        y - 9.0
    );
    text(out, LEFT + 470.0, y, "start", "font-size=\"12\"", "Vault is away");
}

fn outage_minutes(strips: &[(String, Figures)]) -> usize {
    strips.first().map_or(0, |(_, figures)| figures.outage.len() / 60)
}

/// Where a second (counted from the left edge) is drawn.
fn x(second: usize, outage_minutes: usize) -> f64 {
    let seconds = count((BEFORE + outage_minutes + AFTER) * 60);
    LEFT + (WIDTH - LEFT - RIGHT) * count(second) / seconds
}

fn y(requests: f64, bottom: f64) -> f64 {
    bottom - STRIP * (requests.max(1.0).log10() / DECADES).min(1.0)
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn count(n: usize) -> f64 {
    n as f64
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>");
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" {more}/>",
        from.0, from.1, to.0, to.1
    );
}
