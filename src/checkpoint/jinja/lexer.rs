//! Lexer of templates. Removes whitespace as `trim_blocks`, `lstrip_blocks` and the signs `-` and
//! `+` do in jinja2's lexer.

use super::{Error, Result, is_space};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Data(String),
    PrintBegin,
    PrintEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Operator(&'static str),
    End,
}

/// Longest first, so that `//` is not read as two of `/`.
const OPERATORS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";", "!",
];

/// Converts line ends to LF and removes the last one.
fn normalized(source: &str) -> String {
    let mut text = source.replace("\r\n", "\n").replace('\r', "\n");
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// Returns the template's tokens with their lines.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>> {
    let text = normalized(source);
    let mut lexer = Lexer {
        rest: &text,
        line: 1,
        tokens: Vec::new(),
        line_start: true,
    };
    lexer.run().map_err(|error| error.at(lexer.line))?;
    let line = lexer.line;
    lexer.tokens.push((Token::End, line));
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    tokens: Vec<(Token, usize)>,
    /// Whether the remaining text starts at the beginning of a line.
    line_start: bool,
}

impl<'s> Lexer<'s> {
    fn run(&mut self) -> Result<()> {
        while let Some(at) = next_tag(self.rest) {
            let (data, tag) = self.rest.split_at(at);
            let kind = &tag[..2];
            let sign = tag[2..].chars().next().filter(|c| matches!(c, '-' | '+'));
            let raw = (kind == "{%").then(|| raw_begin(tag)).flatten();
            self.data(data, sign, kind != "{{");
            self.take(data.len());
            match (kind, raw) {
                ("{#", _) => {
                    let inner = 2 + sign.map_or(0, char::len_utf8);
                    let end = tag[inner..]
                        .find("#}")
                        .ok_or_else(|| Error::new("a comment does not end"))?
                        + inner;
                    let last = tag[inner..end].chars().last();
                    self.take(end + 2);
                    self.tag_end(last.filter(|c| matches!(c, '-' | '+')), true);
                }
                (_, Some(length)) => {
                    self.take(length);
                    self.line_start = tag[..length].ends_with('\n');
                    self.raw()?;
                }
                ("{%", None) => {
                    self.push(Token::BlockBegin);
                    self.take(2 + sign.map_or(0, char::len_utf8));
                    self.expression("%}", Token::BlockEnd)?;
                }
                _ => {
                    self.push(Token::PrintBegin);
                    self.take(2 + sign.map_or(0, char::len_utf8));
                    self.expression("}}", Token::PrintEnd)?;
                }
            }
        }
        let rest = self.rest;
        self.data(rest, Some('+'), false);
        self.take(rest.len());
        Ok(())
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.bytes().filter(|b| *b == b'\n').count();
        self.rest = rest;
    }

    /// Emits the text before a tag, without the whitespace that the tag removes.
    fn data(&mut self, text: &str, sign: Option<char>, block: bool) {
        let mut kept = text;
        if sign == Some('-') {
            kept = text.trim_end_matches(is_space);
        } else if sign.is_none() && block {
            let line = text.rfind('\n').map_or(0, |at| at + 1);
            if (line > 0 || self.line_start) && text[line..].chars().all(is_space) {
                kept = &text[..line];
            }
        }
        if !kept.is_empty() {
            let data = Token::Data(kept.to_string());
            self.push(data);
        }
    }

    /// Skips the whitespace after a tag that ends with `sign`.
    fn tag_end(&mut self, sign: Option<char>, block: bool) {
        self.line_start = false;
        let length = match sign {
            Some('-') => self.rest.len() - self.rest.trim_start_matches(is_space).len(),
            Some(_) => 0,
            None => usize::from(block && self.rest.starts_with('\n')),
        };
        self.line_start = self.rest[..length].ends_with('\n');
        self.take(length);
    }

    /// Reads text up to `{% endraw %}`.
    fn raw(&mut self) -> Result<()> {
        let mut from = 0;
        loop {
            let at = self.rest[from..]
                .find("{%")
                .ok_or_else(|| Error::new("a raw block does not end"))?
                + from;
            let (inner, sign) = signed(&self.rest[at + 2..]);
            let word = inner.trim_start_matches(is_space);
            if let Some(after) = word.strip_prefix("endraw") {
                let after = after.trim_start_matches(is_space);
                let (after, end) = signed(after);
                if let Some(after) = after.strip_prefix("%}") {
                    let data = &self.rest[..at];
                    let length = self.rest.len() - after.len();
                    self.data(data, sign, true);
                    self.take(length);
                    self.tag_end(end, true);
                    return Ok(());
                }
            }
            from = at + 2;
        }
    }

    /// Reads the tokens inside a tag, up to its end.
    fn expression(&mut self, end: &str, token: Token) -> Result<()> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            let space = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            self.take(space);
            let Some(first) = self.rest.chars().next() else {
                return Err(Error::new(format!("expected {end:?}, found the end")));
            };
            if open.is_empty() {
                // `+}}` does not end the tag: there the sign is addition's.
                let (after, sign) = match signed(self.rest) {
                    (_, Some('+')) if end == "}}" => (self.rest, None),
                    other => other,
                };
                if after.starts_with(end) {
                    self.push(token);
                    self.take(end.len() + sign.map_or(0, char::len_utf8));
                    self.tag_end(sign, end == "%}");
                    return Ok(());
                }
            }
            if first.is_ascii_digit() {
                self.number()?;
            } else if first == '\'' || first == '"' {
                self.text(first)?;
            } else if first == '_' || first.is_alphabetic() {
                let length = self
                    .rest
                    .find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(self.rest.len());
                let name = self.rest[..length].to_string();
                self.push(Token::Name(name));
                self.take(length);
            } else {
                let found = OPERATORS.iter().find(|op| self.rest.starts_with(**op));
                let operator = found.ok_or_else(|| {
                    Error::new(format!("expected an expression, found {first:?}"))
                })?;
                match *operator {
                    "(" | "[" | "{" => open.push(operator),
                    ")" | "]" | "}" => {
                        let wanted = match open.pop() {
                            Some("(") => ")",
                            Some("[") => "]",
                            Some(_) => "}",
                            None => return Err(Error::new(format!("{operator:?} closes nothing"))),
                        };
                        if wanted != *operator {
                            let reason = format!("expected {wanted:?}, found {operator:?}");
                            return Err(Error::new(reason));
                        }
                    }
                    _ => {}
                }
                self.push(Token::Operator(operator));
                self.take(operator.len());
            }
        }
    }

    fn number(&mut self) -> Result<()> {
        let bytes = self.rest.as_bytes();
        let digits = |mut at: usize| {
            while at < bytes.len()
                && (bytes[at].is_ascii_digit()
                    || (bytes[at] == b'_' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)))
            {
                at += 1;
            }
            at
        };
        let follows = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let whole = digits(0);
        let behind_dot = matches!(self.tokens.last(), Some((Token::Operator("."), _)));
        let mut end = whole;
        if !behind_dot {
            if bytes.get(end) == Some(&b'.') && follows(end + 1) {
                end = digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                if follows(end + 1 + sign) {
                    end = digits(end + 1 + sign);
                }
            }
        }
        let text = self.rest[..end].replace('_', "");
        let token = if end > whole {
            Token::Float(text.parse().map_err(|_| Error::new("not a number"))?)
        } else if matches!(bytes.get(1), Some(b'x' | b'X' | b'b' | b'B' | b'o' | b'O'))
            && bytes[0] == b'0'
        {
            return Err(Error::new(
                "numbers in hexadecimal, octal or binary are not read",
            ));
        } else if text.len() > 1 && text.starts_with('0') && text.bytes().any(|b| b != b'0') {
            return Err(Error::new(format!("{text:?} is not a number")));
        } else {
            let number = text.parse();
            Token::Int(number.map_err(|_| Error::new(format!("{text} needs more than 64 bits")))?)
        };
        self.push(token);
        self.take(end);
        Ok(())
    }

    /// Reads a string literal with Python's escapes.
    fn text(&mut self, quote: char) -> Result<()> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        let end = loop {
            let (at, c) = chars
                .next()
                .ok_or_else(|| Error::new("a string does not end"))?;
            if c == quote {
                break at + 1;
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let (_, escape) = chars
                .next()
                .ok_or_else(|| Error::new("a string does not end"))?;
            let length = match escape {
                'n' => {
                    out.push('\n');
                    continue;
                }
                't' => {
                    out.push('\t');
                    continue;
                }
                'r' => {
                    out.push('\r');
                    continue;
                }
                'a' => {
                    out.push('\u{7}');
                    continue;
                }
                'b' => {
                    out.push('\u{8}');
                    continue;
                }
                'f' => {
                    out.push('\u{c}');
                    continue;
                }
                'v' => {
                    out.push('\u{b}');
                    continue;
                }
                '\\' | '\'' | '"' => {
                    out.push(escape);
                    continue;
                }
                '\n' => continue,
                'x' => 2,
                'u' => 4,
                'U' => 8,
                'N' | '0'..='7' => {
                    return Err(Error::new(format!("the escape \\{escape} is not read")));
                }
                other => {
                    out.push('\\');
                    out.push(other);
                    continue;
                }
            };
            let mut code = 0u32;
            for _ in 0..length {
                let digit = chars.next().and_then(|(_, c)| c.to_digit(16));
                let digit = digit.ok_or_else(|| Error::new("an escape in a string is cut off"))?;
                code = code.wrapping_mul(16).wrapping_add(digit);
            }
            out.push(
                char::from_u32(code)
                    .ok_or_else(|| Error::new("an escape in a string is no character"))?,
            );
        };
        self.push(Token::Text(out));
        self.take(end);
        Ok(())
    }
}

/// Returns the position of the next tag.
fn next_tag(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let tag = |at: &usize| matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#'));
    (0..bytes.len()).filter(|at| bytes[*at] == b'{').find(tag)
}

/// Returns the length of `{% raw %}` if `tag` begins with it.
fn raw_begin(tag: &str) -> Option<usize> {
    let (inner, _) = signed(&tag[2..]);
    let after = inner.trim_start_matches(is_space).strip_prefix("raw")?;
    let after = after.trim_start_matches(is_space);
    if let Some(rest) = after.strip_prefix("-%}") {
        return Some(tag.len() - rest.trim_start_matches(is_space).len());
    }
    Some(tag.len() - after.strip_prefix("%}")?.len())
}

/// Splits off a leading sign: returns the rest of the text, and the sign.
fn signed(text: &str) -> (&str, Option<char>) {
    match text.chars().next() {
        Some(sign @ ('-' | '+')) => (&text[1..], Some(sign)),
        _ => (text, None),
    }
}
