//! The part of YAML that cards of data sets use: mappings, lists, and text on one line.

/// The deepest nesting.
const DEEPEST: usize = 16;
/// The largest number of items of a list, and of members of a mapping.
const MOST_ITEMS: usize = 10_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Nothing,
    /// Text, and whether it was in quotes.
    Text(String, bool),
    List(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

/// An error: the line, from 1, and the reason.
pub type Fault = (usize, String);

/// A line without its comment: number, indentation, text.
type Line<'a> = (usize, usize, &'a str);

/// Returns the value of a key at the top of the metadata that begin a Markdown file, between lines
/// of `---`; `None` if it has no metadata or no such key. The other keys are not read.
///
/// # Errors
/// Returns an error for a key that is there twice, and for YAML that this does not read: anchors,
/// tags, text of several lines, mappings in braces, tabs.
pub fn front_matter(text: &str, key: &str) -> Result<Option<Node>, Fault> {
    let mut lines = text
        .lines()
        .zip(1..)
        .skip_while(|(line, _)| line.trim().is_empty());
    if lines.next().is_none_or(|(line, _)| line.trim() != "---") {
        return Ok(None);
    }
    let (mut block, mut found): (Vec<Line>, Option<(usize, &str)>) = (Vec::new(), None);
    let mut inside = false;
    let mut ended = false;
    for (line, number) in lines {
        let trimmed = line.trim_start_matches(' ');
        let indent = line.len() - trimmed.len();
        if line.trim_end() == "---" {
            ended = true;
            break;
        }
        let text = trimmed.trim_end();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if indent > 0 || text == "-" || text.starts_with("- ") {
            if inside {
                block.push((number, indent, text));
            }
            continue;
        }
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        inside = name.trim_end().trim_matches(['"', '\'']) == key;
        if inside {
            if found.is_some() {
                return Err((number, format!("{key:?} twice")));
            }
            found = Some((number, rest.trim()));
        } else if text.starts_with(['{', '<', '?', '&', '!', '*']) {
            return Err((
                number,
                format!("{text:?}: not one of the forms that are read here"),
            ));
        }
    }
    let Some((number, rest)) = found.filter(|_| ended) else {
        return Ok(None);
    };
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err((number, format!("{rest:?} on the line of {key:?}")));
    }
    let mut parser = Parser {
        lines: block,
        at: 0,
    };
    match parser.lines.first() {
        None => Ok(Some(Node::Nothing)),
        Some(&(_, indent, _)) => {
            let node = parser.node(indent, 0)?;
            match parser.lines.get(parser.at) {
                None => Ok(Some(node)),
                Some(&(line, _, text)) => Err((line, format!("{text:?} at another indentation"))),
            }
        }
    }
}

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

impl Parser<'_> {
    /// Parses the node whose lines begin at `indent`.
    fn node(&mut self, indent: usize, depth: usize) -> Result<Node, Fault> {
        let (number, _, text) = self.lines[self.at];
        if depth > DEEPEST {
            return Err((number, format!("more than {DEEPEST} levels")));
        }
        if text == "-" || text.starts_with("- ") {
            return self.list(indent, depth);
        }
        if key(text).is_some() {
            return self.mapping(indent, depth);
        }
        self.at += 1;
        scalar(text).map_err(|reason| (number, reason))
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Node, Fault> {
        let mut items = Vec::new();
        while let Some(&(number, at, text)) = self.lines.get(self.at) {
            if at != indent || !(text == "-" || text.starts_with("- ")) {
                break;
            }
            few(items.len()).map_err(|reason| (number, reason))?;
            let rest = text[1..].trim_start();
            if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                items.push(self.below(indent + 1, depth)?);
            } else {
                let inner = indent + text.len() - rest.len();
                self.lines[self.at] = (number, inner, rest);
                items.push(self.node(inner, depth + 1)?);
            }
        }
        Ok(Node::List(items))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Result<Node, Fault> {
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some(&(number, at, text)) = self.lines.get(self.at) {
            let Some((name, rest)) = key(text).filter(|_| at == indent) else {
                break;
            };
            few(members.len()).map_err(|reason| (number, reason))?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err((number, format!("{name:?} twice")));
            }
            self.at += 1;
            let value = if rest.is_empty() || rest.starts_with('#') {
                // A list may stand below its key without indentation.
                let list = |&&(_, at, text): &&Line| {
                    at == indent && (text == "-" || text.starts_with("- "))
                };
                match self.lines.get(self.at).filter(list) {
                    Some(_) => self.node(indent, depth + 1)?,
                    None => self.below(indent + 1, depth)?,
                }
            } else {
                scalar(rest).map_err(|reason| (number, reason))?
            };
            members.push((name, value));
        }
        Ok(Node::Mapping(members))
    }

    /// Parses the node at `least` or deeper, if the next line is.
    fn below(&mut self, least: usize, depth: usize) -> Result<Node, Fault> {
        match self.lines.get(self.at) {
            Some(&(_, at, _)) if at >= least => self.node(at, depth + 1),
            _ => Ok(Node::Nothing),
        }
    }
}

fn few(items: usize) -> Result<(), String> {
    match items {
        0..MOST_ITEMS => Ok(()),
        _ => Err(format!("more than {MOST_ITEMS} items")),
    }
}

/// Splits a line at its key.
fn key(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.split_once(": ") {
        Some((name, rest)) => (name, rest.trim_start()),
        None => (text.strip_suffix(':')?, ""),
    };
    let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| (name.to_string(), rest))
}

/// Parses text, or a list of texts in brackets, with nothing behind it but a comment.
fn scalar(text: &str) -> Result<Node, String> {
    let (node, rest) = match text.strip_prefix('[') {
        None => item(text, &[])?,
        Some(mut rest) => {
            let mut items = Vec::new();
            loop {
                rest = rest.trim_start();
                if let Some(after) = rest.strip_prefix(']') {
                    break (Node::List(items), after);
                }
                few(items.len())?;
                let (node, after) = item(rest, &[',', ']', '[', '{', '}'])?;
                items.push(node);
                rest = after.trim_start();
                match rest.strip_prefix(',') {
                    Some(after) => rest = after,
                    None if rest.starts_with(']') => {}
                    None => return Err(format!("{text:?}: a list that does not end on its line")),
                }
            }
        }
    };
    let rest = rest.trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err(format!("{rest:?} behind a value"));
    }
    Ok(node)
}

/// Parses one text, plain up to one of `ends`.
fn item<'a>(text: &'a str, ends: &[char]) -> Result<(Node, &'a str), String> {
    let refused = || format!("{text:?}: not one of the forms that are read here");
    let first = text.chars().next().ok_or_else(refused)?;
    if first == '"' {
        let mut texts = serde_json::Deserializer::from_str(text).into_iter::<String>();
        return match texts.next() {
            Some(Ok(found)) => Ok((Node::Text(found, true), &text[texts.byte_offset()..])),
            _ => Err(refused()),
        };
    }
    if first == '\'' {
        let (mut found, mut rest) = (String::new(), &text[1..]);
        loop {
            let (part, after) = rest.split_once('\'').ok_or_else(refused)?;
            found += part;
            match after.strip_prefix('\'') {
                Some(after) => (found, rest) = (found + "'", after),
                None => return Ok((Node::Text(found, true), after)),
            }
        }
    }
    if "&*!|>{}[]%@`#,?:".contains(first) {
        return Err(refused());
    }
    let end = text.find(" #").unwrap_or(text.len());
    let end = text[..end].find(ends).unwrap_or(end);
    let (found, rest) = text.split_at(end);
    let found = found.trim_end();
    if found.contains(": ") || found.ends_with(':') || found.contains('\t') {
        return Err(refused());
    }
    Ok((Node::Text(found.to_string(), false), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(text: &str) -> Result<Option<Node>, Fault> {
        front_matter(&format!("---\n{text}---\n# Card\nconfigs:\n"), "configs")
    }

    fn text(text: &str) -> Node {
        Node::Text(text.into(), false)
    }

    fn mapping<const N: usize>(members: [(&str, Node); N]) -> Node {
        Node::Mapping(
            members
                .map(|(name, node)| (name.to_string(), node))
                .to_vec(),
        )
    }

    #[test]
    fn lists_and_mappings() {
        let found = configs(
            "license: mit\ndataset_info:\n  features:\n  - name: a\n    dtype: {x: y}\n\
             configs:\n# first\n- config_name: a   # the first\n  data_files:\n  - split: train\n    \
             path: data/train-*\n  -\n    split: \"te\\u0073t\"\n    path: ['x y', b-*, \"c#\"]\n  \
             default: true\n-   config_name: 'it''s'\n    data_files: \"*\"\n    empty:\nother: 1\n",
        );
        let quoted = |text: &str| Node::Text(text.into(), true);
        let list = Node::List(vec![quoted("x y"), text("b-*"), quoted("c#")]);
        let files = vec![
            mapping([("split", text("train")), ("path", text("data/train-*"))]),
            mapping([("split", quoted("test")), ("path", list)]),
        ];
        let expected = vec![
            mapping([
                ("config_name", text("a")),
                ("data_files", Node::List(files)),
                ("default", text("true")),
            ]),
            mapping([
                ("config_name", quoted("it's")),
                ("data_files", quoted("*")),
                ("empty", Node::Nothing),
            ]),
        ];
        assert_eq!(found, Ok(Some(Node::List(expected))));
    }

    #[test]
    fn metadata_are_at_the_beginning_and_end() {
        for text in [
            "",
            "# A card\nconfigs:\n- a\n",
            "---\nconfigs:\n- a\n",
            "---\nother: 1\n---\n",
        ] {
            assert_eq!(front_matter(text, "configs"), Ok(None), "{text}");
        }
        let found = front_matter("\n---\r\nconfigs:\r\n- a\r\n---\r\n", "configs");
        assert_eq!(found, Ok(Some(Node::List(vec![text("a")]))));
    }

    #[test]
    fn other_yaml_is_refused_with_its_line() {
        for (text, line) in [
            ("configs:\n- &a b\n", 3),
            ("configs:\n- *a\n", 3),
            ("configs:\n- !!str a\n", 3),
            ("configs:\n- a: |\n    b\n", 3),
            ("configs:\n- a: {b: c}\n", 3),
            ("configs:\n- a: [b,\n    c]\n", 3),
            ("configs:\n- a: [[b]]\n", 3),
            ("configs:\n- a: b\n      c\n", 4),
            ("configs:\n- a: b\n - c: d\n", 4),
            ("configs:\n- a: b\n  a: c\n", 4),
            ("configs:\n- a: 'b\n", 3),
            ("configs:\n- a: \"b\n", 3),
            ("configs:\n- a: 'b' c\n", 3),
            ("configs:\n- a: b: c\n", 3),
            ("configs: [a]\n", 2),
            ("configs:\n- a\nconfigs:\n- b\n", 4),
            ("\"configs\":\n- a\nconfigs:\n- b\n", 4),
            ("{configs: [a]}\n", 2),
            ("<<: *a\n", 2),
        ] {
            let (found, reason) = configs(text).unwrap_err();
            assert_eq!(found, line, "{text}: {reason}");
        }
        let deep = format!("configs:\n{}a\n", "- ".repeat(1000));
        assert!(configs(&deep).unwrap_err().1.contains("16 levels"));
    }
}
