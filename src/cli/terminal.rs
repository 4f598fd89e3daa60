//! Text for terminals: text from files or a model cannot control the terminal.

use std::fmt::Write;

/// Replaces every character that controls a terminal or the direction of writing by its escape
/// `\uXXXX`: control characters except line ends and tabs, those of C1, and bidirectional controls.
/// JSON keeps its value: there such characters occur only in strings, and the escape is JSON's own.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string does not fail.
        if !steers(c) || write!(out, "\\u{:04x}", c as u32).is_err() {
            out.push(c);
        }
    }
    out
}

/// Checks whether a character controls the terminal or the text direction.
fn steers(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{2028}'
                | '\u{2029}'
        )
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_steers_a_terminal() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            let bidi = [
                0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067,
                0x2068, 0x2069,
            ];
            let kept = matches!(c, '\n' | '\t');
            let obeyed = (c < ' ' && !kept)
                || ('\u{7f}'..='\u{9f}').contains(&c)
                || bidi.contains(&(c as u32));
            let shown = visible(&c.to_string());
            if obeyed {
                assert_eq!(shown, format!("\\u{:04x}", c as u32));
            } else if !matches!(c, '\u{2028}' | '\u{2029}') {
                assert_eq!(shown, c.to_string());
            }
        }
        assert_eq!(visible("a\u{1b}[2Jb\n"), "a\\u001b[2Jb\n");
    }

    #[test]
    fn json_keeps_its_value() {
        let text: String = (0..0x3000).filter_map(char::from_u32).collect();
        let json = serde_json::to_string_pretty(
            &serde_json::json!({ "text": text, "more": [1, "\u{202e}"] }),
        )
        .unwrap();
        let shown = visible(&json);
        let again: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(again["text"], text);
        assert!(!shown.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{200f}']));
    }
}
