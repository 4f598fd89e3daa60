//! Options of a question: parsing them from text, adding them to a question, and finding the right
//! one.

use crate::run::Right;

/// Returns the letter of option `place`, from 0.
pub fn letter(place: usize) -> Option<char> {
    let place = u32::try_from(place).ok().filter(|&p| p < 26)?;
    char::from_u32('A' as u32 + place)
}

/// Parses a single letter, in brackets or before a stop: `A`, `(a)`, `A.`, `a)`, `A:`.
pub fn as_letter(text: &str) -> Option<char> {
    let text = text.trim();
    let inner = text.strip_prefix('(').unwrap_or(text);
    let mut chars = inner.chars();
    let first = chars.next().filter(char::is_ascii_alphabetic)?;
    matches!(chars.as_str(), "" | ")" | "." | ":").then(|| first.to_ascii_uppercase())
}

/// Splits `text` at its option marks, such as `(a)` or `A:`, which must come in alphabetical order.
/// Returns the text before the first mark, and the options' texts; no options if there is no first
/// mark. `mark` writes the mark of a letter.
pub fn split(text: &str, marks: &[fn(char) -> String]) -> (String, Vec<String>) {
    for mark in marks {
        let mut places = Vec::new();
        let mut from = 0;
        for n in 0.. {
            let Some(mark) = letter(n).map(mark) else {
                break;
            };
            let Some(at) = find(text, &mark, from) else {
                break;
            };
            places.push((at, at + mark.len()));
            from = at + mark.len();
        }
        if places.len() >= 2 {
            let ends = places[1..].iter().map(|p| p.0).chain([text.len()]);
            let trim = |c: char| c.is_whitespace() || c == ',';
            let options = places.iter().zip(ends);
            let options =
                options.map(|(&(_, start), end)| text[start..end].trim_matches(trim).to_string());
            return (text[..places[0].0].trim().to_string(), options.collect());
        }
    }
    (text.trim().to_string(), Vec::new())
}

/// Finds `mark` at or after `from`, at the start of the text or after white space.
fn find(text: &str, mark: &str, from: usize) -> Option<usize> {
    let mut all = text[from..].match_indices(mark).map(|(at, _)| from + at);
    all.find(|&at| at == 0 || text[..at].ends_with(char::is_whitespace))
}

/// Writes the mark `A: `.
pub fn colon(letter: char) -> String {
    format!("{letter}: ")
}

/// Writes the mark `(a) `.
pub fn small_brackets(letter: char) -> String {
    format!("({}) ", letter.to_ascii_lowercase())
}

/// Writes the mark `(A) `.
pub fn brackets(letter: char) -> String {
    format!("({letter}) ")
}

/// Writes the mark `A. `.
pub fn stop(letter: char) -> String {
    format!("{letter}. ")
}

/// Returns the question followed by its options and the instruction to answer with a letter, in the
/// words of LLaVA's own evaluation.
pub fn with_options(question: &str, choices: &[String]) -> String {
    let mut lines = vec![question.to_string()];
    for (place, text) in choices.iter().enumerate() {
        lines.push(letter(place).map(stop).unwrap_or_default() + text);
    }
    lines.push(INSTRUCTION.to_string());
    lines.join("\n")
}

/// The instruction at the end of a question with options, in evaluations of LLaVA and later ones.
pub const INSTRUCTION: &str = "Answer with the option's letter from the given choices directly.";

/// Returns the right answer from an option's text or its letter, or the text itself if there are no
/// options. The answer is unclear if it matches no option, or is a letter without options.
pub fn right(answer: &str, choices: &[String]) -> Right {
    let place = by_text(answer, choices).or_else(|| by_letter(answer, choices));
    match place {
        Some(place) => clear(place, choices),
        None if choices.is_empty() && as_letter(answer).is_some() => {
            unclear(answer, "a letter, and there are no options")
        }
        None if choices.is_empty() => Right {
            text: Some(answer.trim().to_string()),
            ..Right::default()
        },
        None => unclear(answer, "none of the options"),
    }
}

/// Returns the option with this text; otherwise the only one that differs in case alone.
pub fn by_text(answer: &str, choices: &[String]) -> Option<usize> {
    let answer = answer.trim();
    let same = choices.iter().position(|c| c.trim() == answer);
    same.or_else(|| {
        let small = answer.to_lowercase();
        let mut alike = (0..choices.len()).filter(|&p| choices[p].trim().to_lowercase() == small);
        match (alike.next(), alike.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    })
}

/// Returns the option with this letter, or letter and text: `B`, `(b)`, `B. blue`.
pub fn by_letter(answer: &str, choices: &[String]) -> Option<usize> {
    let answer = answer.trim();
    let place = |named: char| (0..choices.len()).find(|&p| letter(p) == Some(named));
    if let Some(named) = as_letter(answer) {
        return place(named);
    }
    let (mark, text) = answer.split_once(char::is_whitespace)?;
    let place = as_letter(mark).filter(|_| mark.len() > 1).and_then(place)?;
    (by_text(text, &choices[place..=place]) == Some(0)).then_some(place)
}

/// Returns the right answer that is option `place`.
pub fn clear(place: usize, choices: &[String]) -> Right {
    Right {
        text: Some(choices[place].clone()),
        letter: letter(place),
        ..Right::default()
    }
}

/// Returns a right answer whose option is unclear, with the reason.
pub fn unclear(answer: &str, why: &str) -> Right {
    Right {
        text: Some(answer.trim().to_string()),
        unclear: Some(why.to_string()),
        ..Right::default()
    }
}
