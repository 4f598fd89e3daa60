//! Text in lines of a bounded width and number.

use super::font::Text;

/// A piece of visible text at its place.
pub(super) struct Placed {
    /// The item that it is of.
    pub item: usize,
    pub text: String,
    /// Pixels from the left.
    pub x: u32,
    pub line: u32,
    /// In pixels.
    pub width: u32,
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
}

impl Layout {
    /// At most `most_lines` lines of `width` pixels.
    pub fn new(width: u32, most_lines: u32) -> Layout {
        Layout {
            placed: Vec::new(),
            cut: false,
            width,
            most_lines,
            x: 0,
            line: 0,
        }
    }

    /// The lines that are in use.
    pub fn lines(&self) -> u32 {
        self.placed.last().map_or(0, |p| p.line + 1)
    }

    /// Places one word: its items in turn, each with its font. The word goes to a new line where it fits a line but not the
    /// rest of this one; a wider one breaks between items, and an item wider than a line anywhere. What no line is left for
    /// is left out.
    pub fn push(&mut self, word: &[(usize, &Text, &str)]) {
        // No line holds more characters than it has pixels, save those without width.
        let most = (self.width * self.most_lines) as usize;
        self.cut |= word
            .iter()
            .any(|(_, _, text)| text.chars().nth(most).is_some());
        let shown: Vec<String> = word
            .iter()
            .map(|(_, font, text)| font.visible(&text.chars().take(most).collect::<String>()))
            .collect();
        let width: u32 = word
            .iter()
            .zip(&shown)
            .map(|((_, font, _), text)| font.width(text))
            .sum();
        if self.x > 0 && self.x + width > self.width && width <= self.width {
            self.break_line();
        }
        for (&(item, font, text), shown) in word.iter().zip(&shown) {
            for piece in font.pieces(shown, self.width) {
                self.place(item, font, piece);
            }
            if text.ends_with('\n') {
                self.break_line();
            }
        }
    }

    fn place(&mut self, item: usize, font: &Text, mut text: String) {
        let mut width = font.width(&text);
        if self.x + width > self.width {
            self.break_line();
        }
        if self.line >= self.most_lines {
            self.cut = true;
            return;
        }
        // A space that a line begins with would look like an indent.
        let ink = text.trim_start_matches(' ');
        if self.x == 0 && !ink.is_empty() && ink.len() < text.len() {
            text = ink.to_string();
            width = font.width(&text);
        }
        let (x, line) = (self.x, self.line);
        self.placed.push(Placed {
            item,
            text,
            x,
            line,
            width,
        });
        self.x += width;
    }

    fn break_line(&mut self) {
        (self.x, self.line) = (0, self.line + 1);
    }
}
