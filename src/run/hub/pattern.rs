//! Patterns of file names, as `datasets` reads them (fsspec's `glob`).

/// A pattern of a path below a folder: names separated by `/`, with `*`, `?`, `[...]`, and `**` for
/// any number of folders.
#[derive(Clone, Debug)]
pub struct Pattern {
    names: Vec<Name>,
}

#[derive(Clone, Debug)]
enum Name {
    /// `**`.
    Folders,
    One(Vec<Token>),
}

#[derive(Clone, Debug)]
enum Token {
    Many,
    Any,
    /// Ranges of characters, and whether one of them is to be, or none.
    Of(Vec<(char, char)>, bool),
    Is(char),
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns what was expected and what was found for a pattern that leads out of its folder or to
    /// another file system, and for `**` in a part of a name.
    pub fn of(text: &str) -> Result<Pattern, (String, String)> {
        let wrong = |what: &str| {
            let expected = "a pattern of files below the folder".to_string();
            (expected, format!("{text:?}{what}"))
        };
        if text.contains("::") || text.contains("://") || text.starts_with(['/', '~']) {
            return Err(wrong(""));
        }
        let mut names = Vec::new();
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            names.push(match part {
                ".." => return Err(wrong("")),
                "**" => Name::Folders,
                part if part.contains("**") || part.contains('\\') => {
                    return Err(wrong(", with a name that is not supported"));
                }
                part => Name::One(tokens(part)),
            });
        }
        match names.last() {
            None => Err(wrong("")),
            // Everything below a folder.
            Some(Name::Folders) => {
                names.push(Name::One(vec![Token::Many]));
                Ok(Pattern { names })
            }
            Some(_) => Ok(Pattern { names }),
        }
    }

    /// Returns whether a path, with `/` between its names, matches. Names that begin with a stop,
    /// and folders that begin with `__`, match only what begins so too.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let last = path.len() - 1;
        let hidden = |place: usize| {
            path[place].starts_with('.') || (place < last && path[place].starts_with("__"))
        };
        let places: Vec<usize> = (0..path.len()).collect();
        matches(
            &self.names,
            &places,
            |name| matches!(name, Name::Folders),
            |name, &place| match name {
                Name::Folders => !hidden(place),
                Name::One(tokens) => {
                    let asked = matches!(tokens.first(), Some(Token::Is('.' | '_')));
                    let name: Vec<char> = path[place].chars().collect();
                    let many = |token: &Token| matches!(token, Token::Many);
                    (asked || !hidden(place)) && matches(tokens, &name, many, is)
                }
            },
        )
    }
}

/// Returns whether a pattern with marks for any number of items matches; `one` compares an item
/// with another mark, or says whether a mark for many may take it.
///
/// It is enough to go back to the last mark for many: an earlier one would leave fewer items.
fn matches<P, T>(
    pattern: &[P],
    items: &[T],
    many: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while i < items.len() {
        match pattern.get(p) {
            Some(mark) if many(mark) => {
                back = Some((p, i));
                p += 1;
            }
            Some(mark) if one(mark, &items[i]) => (p, i) = (p + 1, i + 1),
            _ => match back {
                Some((mark, from)) if one(&pattern[mark], &items[from]) => {
                    back = Some((mark, from + 1));
                    (p, i) = (mark + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(many)
}

fn is(token: &Token, &found: &char) -> bool {
    match token {
        Token::Many | Token::Any => true,
        Token::Of(ranges, one) => {
            ranges
                .iter()
                .any(|&(from, to)| (from..=to).contains(&found))
                == *one
        }
        Token::Is(expected) => *expected == found,
    }
}

fn tokens(name: &str) -> Vec<Token> {
    let all: Vec<char> = name.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < all.len() {
        // A set has one character at least, so that a `]` may be its first; else `[` is itself.
        let start = at + 1 + usize::from(matches!(all.get(at + 1), Some('!' | '^')));
        let end = (start + 1..all.len()).find(|&end| all[end] == ']');
        match (all[at], end) {
            ('*', _) => tokens.push(Token::Many),
            ('?', _) => tokens.push(Token::Any),
            ('[', Some(end)) => {
                let mut ranges = Vec::new();
                let mut set = start;
                while set < end {
                    let ranged = set + 2 < end && all[set + 1] == '-';
                    let to = if ranged { all[set + 2] } else { all[set] };
                    ranges.push((all[set], to));
                    set += if ranged { 3 } else { 1 };
                }
                tokens.push(Token::Of(ranges, start == at + 1));
                at = end;
            }
            (other, _) => tokens.push(Token::Is(other)),
        }
        at += 1;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of fsspec 2025 and of `datasets` for these files.
    #[test]
    fn patterns_match_as_in_datasets() {
        for (pattern, path, expected) in [
            ("data/train-*", "data/train-00000-of-00002.parquet", true),
            ("data/train-*", "data/test-00000-of-00002.parquet", false),
            ("data/train-*", "data/a/train-0", false),
            ("./data//train-*", "data/train-0", true),
            ("data/*-of-?????.parquet", "data/a-b-of-00002.parquet", true),
            ("data/*-of-????.parquet", "data/a-b-of-00002.parquet", false),
            ("*", "a.parquet", true),
            ("*", "a/b.parquet", false),
            ("**", "a/b.parquet", true),
            ("**", "a/.b.parquet", false),
            ("**", "__a/b.parquet", false),
            ("__a/*", "__a/b.parquet", true),
            (".a/*", ".a/b.parquet", true),
            ("**/x*y*z", "x1y2z", true),
            ("**/x*y*z", "a/b/x1y2y3z", true),
            ("**/x*y*z", "a/b/x1y2y3", false),
            ("a/**/b/**/c", "a/b/x/b/c", true),
            ("a/**/b/**/c", "a/x/c", false),
            ("[0-9][!a]x[]]", "1bx]", true),
            ("[0-9][!a]x[]]", "1ax]", false),
            ("a[b", "a[b", true),
        ] {
            assert_eq!(
                Pattern::of(pattern).unwrap().matches(path),
                expected,
                "{pattern} {path}"
            );
        }
        let stars = "*a".repeat(200);
        assert!(!Pattern::of(&stars).unwrap().matches(&"a".repeat(199)));
    }

    #[test]
    fn patterns_stay_below_their_folder() {
        for text in [
            "",
            ".",
            "../a",
            "a/../../b",
            "/a",
            "~/a",
            "https://a/b",
            "zip://a::b",
            "a**",
            "a\\b",
        ] {
            assert!(Pattern::of(text).is_err(), "{text}");
        }
    }
}
