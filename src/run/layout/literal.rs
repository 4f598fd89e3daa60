//! Lists as Python writes them: `['a', "it's"]`, `('a', 'b')`, and as NumPy does: `['a' 'b']`,
//! `array(['a', 'b'], dtype=object)`.

/// Parses a list of texts and numbers; returns `None` for anything else, including a list that
/// NumPy shortened with `...`.
pub fn list(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let inner = text.strip_prefix("array(");
    let mut rest = inner.unwrap_or(text);
    let end = match rest.chars().next()? {
        '[' => ']',
        '(' => ')',
        _ => return None,
    };
    rest = &rest[1..];
    let (mut items, mut commas, mut spaces) = (Vec::new(), false, false);
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(end) {
            rest = after;
            break;
        }
        let (item, after) = item(rest)?;
        items.push(item);
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            (rest, commas) = (after, true);
        } else if !rest.starts_with(end) {
            // NumPy separates items by spaces without commas.
            spaces = true;
        }
    }
    if inner.is_some() {
        rest = rest.split_once(')').map(|(_, after)| after)?;
    }
    let one = !(commas && spaces) && rest.is_empty();
    // A value in brackets is a tuple only with a comma.
    (one && (end == ']' || commas)).then_some(items)
}

/// Parses a text or a number; returns it with the rest of the input.
fn item(text: &str) -> Option<(String, &str)> {
    if let Some(inner) = text.strip_prefix("np.str_(") {
        let (item, after) = item(inner)?;
        return Some((item, after.strip_prefix(')')?));
    }
    let prefix = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (prefix, quoted) = text.split_at(prefix);
    let quote = quoted.chars().next()?;
    let known = ["", "r", "u", "b", "br", "rb"].contains(&prefix.to_ascii_lowercase().as_str());
    if matches!(quote, '\'' | '"') && known {
        return string(&quoted[1..], quote, prefix.contains(['r', 'R']));
    }
    let end = text.find(|c: char| c.is_whitespace() || ",])".contains(c))?;
    let (word, after) = text.split_at(end);
    let is_number = word.parse::<f64>().is_ok() && word.starts_with(|c: char| !c.is_alphabetic());
    (is_number || matches!(word, "True" | "False")).then(|| (word.to_string(), after))
}

/// Parses a text up to its closing quote.
fn string(text: &str, quote: char, raw: bool) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut rest = text;
    loop {
        let next = rest.chars().next()?;
        rest = &rest[next.len_utf8()..];
        if next == quote {
            return Some((found, rest));
        }
        if next != '\\' {
            found.push(next);
            continue;
        }
        let escaped = rest.chars().next()?;
        let after = &rest[escaped.len_utf8()..];
        let (character, after) = match escaped {
            _ if raw => {
                found.push('\\');
                (Some(escaped), after)
            }
            '\n' => (None, after),
            'n' => (Some('\n'), after),
            't' => (Some('\t'), after),
            'r' => (Some('\r'), after),
            'a' => (Some('\x07'), after),
            'b' => (Some('\x08'), after),
            'f' => (Some('\x0c'), after),
            'v' => (Some('\x0b'), after),
            '\\' | '\'' | '"' => (Some(escaped), after),
            'x' => number(after, 2, 16)?,
            'u' => number(after, 4, 16)?,
            'U' => number(after, 8, 16)?,
            '0'..='7' => {
                let digits = rest
                    .bytes()
                    .take(3)
                    .take_while(|b| (b'0'..b'8').contains(b));
                number(rest, digits.count(), 8)?
            }
            // A character by name would need the table of all Unicode names.
            'N' => return None,
            // As in Python.
            _ => {
                found.push('\\');
                (Some(escaped), after)
            }
        };
        found.extend(character);
        rest = after;
    }
}

fn number(text: &str, digits: usize, radix: u32) -> Option<(Option<char>, &str)> {
    let code = u32::from_str_radix(text.get(..digits)?, radix).ok()?;
    Some((Some(char::from_u32(code)?), &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outputs of `str` for these lists in Python 3, and of `str` and `repr` for arrays in
    /// NumPy 2.
    #[test]
    fn lists_of_python_and_numpy_are_read() {
        for (text, expected) in [
            (r#"['red', 'blue']"#, &["red", "blue"][..]),
            (r#"["it's", 'a "b"']"#, &["it's", "a \"b\""]),
            (
                r#"['both \' and "', '\\frac{1}{2}']"#,
                &["both ' and \"", "\\frac{1}{2}"],
            ),
            (
                r#"['a\nb', 'tab\t', '\x00\xe9', '\u4e2d', '\U0001f600']"#,
                &["a\nb", "tab\t", "\0é", "中", "😀"],
            ),
            (r#"[']', ', ', '[x', '(']"#, &["]", ", ", "[x", "("]),
            ("[1, 2.5, -3, 1e-05]", &["1", "2.5", "-3", "1e-05"]),
            ("['x', 2, True]", &["x", "2", "True"]),
            ("[]", &[]),
            (" [ 'a' , ] ", &["a"]),
            ("('a', 'b')", &["a", "b"]),
            ("('a',)", &["a"]),
            ("['red' 'blue']", &["red", "blue"]),
            ("['red' \"it's\"\n 'green']", &["red", "it's", "green"]),
            ("[1 2 3]", &["1", "2", "3"]),
            ("[1.  2.5]", &["1.", "2.5"]),
            ("array(['a', 'b'], dtype=object)", &["a", "b"]),
            ("[np.str_('a'), np.str_('b')]", &["a", "b"]),
            (r"[r'\n', b'raw', u'x']", &["\\n", "raw", "x"]),
            (r"['\101', '\q']", &["A", "\\q"]),
        ] {
            assert_eq!(
                list(text).unwrap_or_else(|| panic!("{text}")),
                expected,
                "{text}"
            );
        }
        for text in [
            "",
            "red, blue",
            "['red', 'blue'",
            "['red', 'blue",
            "['red', 'blue'] or so",
            "['red' 'blue', 'green']",
            "['red', ...]",
            "[red, blue]",
            "[nan, inf]",
            "(a) Yes (b) No",
            "('a')",
            "(1)",
            "[['a'], ['b']]",
            r"['\N{DASH}']",
            r"['\x4']",
            "['a\\",
            "array(['a', 'b']",
            "[é",
        ] {
            assert_eq!(list(text), None, "{text}");
        }
    }
}
