//! Puts the words onto a picture: a darkened panel at the foot with the wrapped prompt, then
//! provider and model, then size and seed.
//!
//! The letters grow with the picture. When the prompt is too long its tail is cut and marked
//! with dots; on very small pictures whole lines are left out from the end, never drawn outside.

use super::{Canvas, Picture, font};

/// Prompts longer than this many lines are cut; the panel should not hide the whole picture.
const PROMPT_LINES_MAX: usize = 10;

const PAPER: [u8; 3] = [250, 250, 245];
const MUTED: [u8; 3] = [196, 214, 232];

pub(super) fn letter(canvas: &mut Canvas, picture: &Picture) {
    let scale = (canvas.width.min(canvas.height) / 200).clamp(1, 8);
    let (cell_width, cell_height) = (font::WIDTH * scale + scale, font::HEIGHT * scale + 3 * scale);
    let margin = 3 * scale;
    let columns = (canvas.width.saturating_sub(2 * margin) / cell_width) as usize;
    let rows = (canvas.height.saturating_sub(2 * margin) / cell_height) as usize;
    if columns == 0 || rows == 0 {
        return;
    }

    let facts = facts(picture, columns);
    let prompt_rows = rows.saturating_sub(facts.len()).clamp(1, PROMPT_LINES_MAX);
    let mut lines: Vec<(String, [u8; 3])> =
        wrap(picture.prompt, columns, prompt_rows).into_iter().map(|line| (line, PAPER)).collect();
    lines.extend(facts.into_iter().map(|line| (line, MUTED)));
    lines.truncate(rows);

    let panel = u32::try_from(lines.len()).unwrap_or(0) * cell_height + 2 * margin;
    let top = canvas.height.saturating_sub(panel);
    darken(canvas, top);
    for (row, (line, colour)) in (0u32..).zip(&lines) {
        write_line(canvas, line, margin, top + margin + row * cell_height, scale, *colour);
    }
}

fn facts(picture: &Picture, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for fact in [
        format!("{} / {}", picture.provider, picture.model),
        format!("{}x{} seed {}", picture.width, picture.height, picture.seed),
    ] {
        lines.extend(wrap(&fact, columns, 3));
    }
    lines
}

/// Breaks text at spaces into lines of at most `columns` characters; words that are longer than
/// a line are broken where the line ends. A cut tail is marked by three dots.
fn wrap(text: &str, columns: usize, lines_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let gap = usize::from(length > 0);
            if length + gap + rest.len() <= columns || (length == 0 && rest.len() > columns) {
                let taken = rest.len().min(columns);
                let line = lines.last_mut().expect("there is always a line");
                line.extend(std::iter::repeat_n(' ', gap));
                line.extend(rest.drain(..taken));
                length += gap + taken;
            } else {
                if lines.len() == lines_max {
                    mark_cut(lines.last_mut().expect("there is always a line"), columns);
                    return lines;
                }
                lines.push(String::new());
                length = 0;
            }
        }
    }
    lines
}

fn mark_cut(line: &mut String, columns: usize) {
    let kept = columns.saturating_sub(3);
    *line = line.chars().take(kept).chain("...".chars()).take(columns).collect();
}

fn darken(canvas: &mut Canvas, top: u32) {
    let width = canvas.width;
    for y in top..canvas.height {
        for value in canvas.span(y, 0, width) {
            *value /= 4;
        }
    }
}

fn write_line(canvas: &mut Canvas, line: &str, left: u32, top: u32, scale: u32, colour: [u8; 3]) {
    for (position, character) in (0u32..).zip(line.chars()) {
        let start = left + position * (font::WIDTH + 1) * scale;
        for (row, bits) in (0u32..).zip(font::glyph(character)) {
            for column in (0..font::WIDTH).filter(|column| bits & (0b1_0000 >> column) != 0) {
                for y in 0..scale {
                    let from = start + column * scale;
                    let down = top + row * scale + y;
                    if down < canvas.height {
                        for pixel in canvas.span(down, from, from + scale).chunks_exact_mut(3) {
                            pixel.copy_from_slice(&colour);
                        }
                    }
                }
            }
        }
    }
}
