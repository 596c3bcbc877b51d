//! Tables for people: aligned columns that fit the terminal.
//!
//! Columns say whether they are text or figures and whether they may be narrowed; a narrowed cell goes on
//! in the next line, at a space where there is one. Without a terminal nothing is narrowed, so that other
//! programs can cut the lines. It also prints Markdown, for the documentation.

use console::Term;
use std::fmt::Write;

/// Narrowest that a flexible column gets, in characters.
const FLEXIBLE_MIN: usize = 12;
const GAP: &str = "  ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Figure,
    Flexible,
    /// As text, but left out where the terminal is too narrow.
    Optional,
    /// As a figure, but left out where the terminal is too narrow.
    SpareFigure,
}

impl Kind {
    fn is_spare(self) -> bool {
        matches!(self, Kind::Optional | Kind::SpareFigure)
    }

    fn is_figure(self) -> bool {
        matches!(self, Kind::Figure | Kind::SpareFigure)
    }
}

/// A table under construction.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Kind)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new() -> Table {
        Table::default()
    }

    /// A column of short texts.
    pub fn text(self, title: &str) -> Table {
        self.column(title, Kind::Text)
    }

    /// A column of figures, aligned to the right.
    pub fn figure(self, title: &str) -> Table {
        self.column(title, Kind::Figure)
    }

    /// A column of sentences, narrowed where the terminal is narrow.
    pub fn flexible(self, title: &str) -> Table {
        self.column(title, Kind::Flexible)
    }

    /// A column of short texts that a narrow terminal does without; the last one goes first.
    pub fn optional(self, title: &str) -> Table {
        self.column(title, Kind::Optional)
    }

    /// A column of figures that a narrow terminal does without, in the same order.
    pub fn spare_figure(self, title: &str) -> Table {
        self.column(title, Kind::SpareFigure)
    }

    fn column(mut self, title: &str, kind: Kind) -> Table {
        self.columns.push((title.to_owned(), kind));
        self
    }

    /// Adds a row; it has a cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell per column");
        self.rows.push(cells);
    }

    /// For the terminal that standard output is, if it is one.
    pub fn render(&self) -> String {
        let term = Term::stdout();
        self.render_within(term.is_term().then(|| usize::from(term.size().1)))
    }

    /// With lines of at most `width` characters where the flexible columns allow it.
    pub fn render_within(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let last = self.columns.iter().rposition(|(_, kind)| kind.is_spare());
        if let (Some(width), Some(at)) = (width, last)
            && total(&widths) > width
        {
            return self.without(at).render_within(Some(width));
        }
        let titles: Vec<String> = self.columns.iter().map(|(title, _)| title.to_uppercase()).collect();
        let mut out = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or_default();
            for at in 0..height {
                let mut line = String::new();
                for ((cell, width), (_, kind)) in cells.iter().zip(&widths).zip(&self.columns) {
                    let part = cell.get(at).map_or("", String::as_str);
                    let fill = " ".repeat(width.saturating_sub(length(part)));
                    let (before, after) =
                        if kind.is_figure() { (fill.as_str(), "") } else { ("", fill.as_str()) };
                    let _ = write!(line, "{before}{part}{after}{GAP}");
                }
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        out.pop();
        out
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let mut push = |cells: Vec<String>| {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        push(self.columns.iter().map(|(title, _)| title.clone()).collect());
        let rule = |kind: &Kind| if kind.is_figure() { "---:" } else { "---" }.to_owned();
        push(self.columns.iter().map(|(_, kind)| rule(kind)).collect());
        self.rows.iter().for_each(|row| push(row.clone()));
        out.pop();
        out
    }

    fn without(&self, column: usize) -> Table {
        let mut table = self.clone();
        table.columns.remove(column);
        for row in &mut table.rows {
            row.remove(column);
        }
        table
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let natural = |at: usize| {
            let cells = self.rows.iter().map(|row| length(&row[at]));
            cells.chain([length(&self.columns[at].0)]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = (0..self.columns.len()).map(natural).collect();
        let Some(limit) = limit else { return widths };
        let mut excess = total(&widths).saturating_sub(limit);
        while excess > 0 {
            let flexible = self.columns.iter().map(|(_, kind)| *kind == Kind::Flexible);
            let widest = widths.iter_mut().zip(flexible).filter(|(_, flexible)| *flexible);
            match widest.map(|(width, _)| width).max() {
                Some(width) if *width > FLEXIBLE_MIN => *width -= 1,
                _ => break,
            }
            excess -= 1;
        }
        widths
    }
}

/// Characters of a line with these columns.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The lines of a cell; words longer than the width are cut, behind a hyphen or the like where there is one.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    if length(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && length(&line) + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > width {
            let joint = word[..width].iter().rposition(|letter| "-/._".contains(*letter));
            lines.push(word.drain(..joint.map_or(width, |at| at + 1)).collect());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table::new().text("offer").figure("usd").flexible("reason");
        table.row(["a/b".into(), "0.04".into(), "it makes no pictures of this size".into()]);
        table.row(["longer/name".into(), "12".into(), "no".into()]);
        table
    }

    #[test]
    fn aligns_figures_to_the_right_and_leaves_no_spaces_at_the_end() {
        let text = example().render_within(None);
        let expected = "OFFER         USD  REASON\n\
                        a/b          0.04  it makes no pictures of this size\n\
                        longer/name    12  no";
        assert_eq!(text, expected);
    }

    #[test]
    fn narrows_only_flexible_columns() {
        let text = example().render_within(Some(36));
        assert!(text.lines().all(|line| line.chars().count() <= 36), "{text}");
        assert!(text.contains("longer/name"));
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn leaves_out_optional_columns_where_it_is_narrow() {
        let mut table = Table::new().text("offer").optional("latency").optional("date");
        table.row(["some/offer".into(), "20 s".into(), "2026-11-22".into()]);
        let titles = |width| table.render_within(Some(width)).lines().next().unwrap_or_default().to_owned();
        assert_eq!(titles(80), "OFFER       LATENCY  DATE");
        assert_eq!(titles(20), "OFFER       LATENCY");
        assert_eq!(titles(12), "OFFER");
    }

    #[test]
    fn writes_markdown() {
        assert!(example().markdown().starts_with("| offer | usd | reason |\n| --- | ---: | --- |\n| a/b |"));
    }

    #[test]
    fn cuts_words_that_are_longer_than_the_line() {
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("flux-2-klein-4b", 13), ["flux-2-klein-", "4b"]);
    }
}
