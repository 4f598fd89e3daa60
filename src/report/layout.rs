//! Text layout in lines of limited width and number.

use unicode_bidi::BidiInfo;

use super::font::{Neighbours, Text, runs_backwards};

/// A piece of visible text with its position.
pub(super) struct Placed {
    /// The item that it belongs to.
    pub item: usize,
    pub text: String,
    /// Distance from the left in pixels.
    pub x: u32,
    pub line: u32,
    /// Width in pixels.
    pub width: u32,
    /// The adjacent characters of the same word.
    pub neighbours: Neighbours,
    /// Whether it runs from right to left, so that it begins at its right end.
    pub backwards: bool,
}

/// Lines that are filled piece by piece.
pub(super) struct Layout {
    pub placed: Vec<Placed>,
    /// Whether something was left out.
    pub cut: bool,
    width: u32,
    most_lines: u32,
    x: u32,
    line: u32,
    /// The first piece of the current line.
    first: usize,
}

impl Layout {
    /// Creates a layout of at most `most_lines` lines of `width` pixels.
    pub fn new(width: u32, most_lines: u32) -> Layout {
        Layout {
            placed: Vec::new(),
            cut: false,
            width,
            most_lines,
            x: 0,
            line: 0,
            first: 0,
        }
    }

    /// Ends the last line. Nothing may be pushed afterwards.
    pub fn finish(&mut self) {
        self.order_line();
    }

    /// Returns the number of lines in use.
    pub fn lines(&self) -> u32 {
        self.placed.last().map_or(0, |p| p.line + 1)
    }

    /// Places one word: its items in turn, each with its font. The word starts a new line if it
    /// fits a line but not the rest of the current one; a wider word breaks between items, and an
    /// item wider than a line breaks anywhere. Text for which no line is left is left out.
    pub fn push(&mut self, word: &[(usize, &Text, &str)]) {
        // No line holds more characters than it has pixels, except those without width.
        let most = (self.width * self.most_lines) as usize;
        self.cut |= word
            .iter()
            .any(|(_, _, text)| text.chars().nth(most).is_some());
        let shown: Vec<String> = word
            .iter()
            .map(|(_, font, text)| font.visible(&text.chars().take(most).collect::<String>()))
            .collect();
        let neighbours = |i: usize| Neighbours {
            before: i.checked_sub(1).and_then(|i| shown[i].chars().last()),
            after: shown.get(i + 1).and_then(|text| text.chars().next()),
        };
        let width: u32 = word
            .iter()
            .zip(&shown)
            .enumerate()
            .map(|(i, ((_, font, _), text))| font.width_between(text, neighbours(i)))
            .sum();
        if self.x > 0 && self.x + width > self.width && width <= self.width {
            self.break_line();
        }
        for (i, (&(item, font, text), whole)) in word.iter().zip(&shown).enumerate() {
            let pieces = font.pieces(whole, self.width);
            let neighbours = match pieces.len() {
                1 => neighbours(i),
                _ => Neighbours::default(),
            };
            for piece in pieces {
                self.place(item, font, piece, neighbours);
            }
            if text.ends_with('\n') {
                self.break_line();
            }
        }
    }

    fn place(&mut self, item: usize, font: &Text, mut text: String, neighbours: Neighbours) {
        let mut width = font.width_between(&text, neighbours);
        if self.x + width > self.width {
            self.break_line();
        }
        if self.line >= self.most_lines {
            self.cut = true;
            return;
        }
        // A space at the start of a line would look like an indent.
        let ink = text.trim_start_matches(' ');
        if self.x == 0 && !ink.is_empty() && ink.len() < text.len() {
            text = ink.to_string();
            width = font.width_between(&text, neighbours);
        }
        let (x, line) = (self.x, self.line);
        self.placed.push(Placed {
            item,
            text,
            x,
            line,
            width,
            neighbours,
            backwards: false,
        });
        self.x += width;
    }

    /// Puts the pieces of the completed line in visual order: those that run from right to left are
    /// reversed, and so is the whole line if it begins so.
    fn order_line(&mut self) {
        let line = &mut self.placed[self.first..];
        let text: String = line.iter().map(|p| p.text.as_str()).collect();
        if runs_backwards(&text) {
            let info = BidiInfo::new(&text, None);
            let mut at = 0;
            let levels: Vec<_> = line
                .iter()
                .filter_map(|p| {
                    let spaces = p.text.len() - p.text.trim_start_matches(' ').len();
                    let first = if spaces < p.text.len() { spaces } else { 0 };
                    let level = info.levels.get(at + first).or(info.levels.last()).copied();
                    at += p.text.len();
                    level
                })
                .collect();
            let mut x = 0;
            for index in BidiInfo::reorder_visual(&levels) {
                line[index].backwards = levels[index].is_rtl();
                line[index].x = x;
                x += line[index].width;
            }
        }
        self.first = self.placed.len();
    }

    fn break_line(&mut self) {
        self.order_line();
        (self.x, self.line) = (0, self.line + 1);
    }
}
