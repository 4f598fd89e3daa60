//! Options of a question: taken from text, put into a question, and the right one among them.

use crate::run::Right;

/// The letter of option `place`, from 0.
pub fn letter(place: usize) -> Option<char> {
    let place = u32::try_from(place).ok().filter(|&p| p < 26)?;
    char::from_u32('A' as u32 + place)
}

/// A letter alone, in brackets or before a stop: `A`, `(a)`, `A.`, `a)`, `A:`.
pub fn as_letter(text: &str) -> Option<char> {
    let text = text.trim();
    let inner = text.strip_prefix('(').unwrap_or(text);
    let mut chars = inner.chars();
    let first = chars.next().filter(char::is_ascii_alphabetic)?;
    matches!(chars.as_str(), "" | ")" | "." | ":").then(|| first.to_ascii_uppercase())
}

/// Cuts `text` at its option marks, such as `(a)` or `A:`, which must come in the order of the
/// alphabet: what stands before the first, and the options' texts. `mark` writes the mark of a
/// letter. No options where there is no first mark.
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

/// Where `mark` first stands from `from` on, at the start of the text or behind white space.
fn find(text: &str, mark: &str, from: usize) -> Option<usize> {
    let mut all = text[from..].match_indices(mark).map(|(at, _)| from + at);
    all.find(|&at| at == 0 || text[..at].ends_with(char::is_whitespace))
}

/// `A: `
pub fn colon(letter: char) -> String {
    format!("{letter}: ")
}

/// `(a) `
pub fn small_brackets(letter: char) -> String {
    format!("({}) ", letter.to_ascii_lowercase())
}

/// `(A) `
pub fn brackets(letter: char) -> String {
    format!("({letter}) ")
}

/// `A. `
pub fn stop(letter: char) -> String {
    format!("{letter}. ")
}

/// The question with its options below it, and what to answer with, in the words of LLaVA's own
/// evaluation.
pub fn with_options(question: &str, choices: &[String]) -> String {
    let mut lines = vec![question.to_string()];
    for (place, text) in choices.iter().enumerate() {
        lines.push(letter(place).map(stop).unwrap_or_default() + text);
    }
    lines.push(INSTRUCTION.to_string());
    lines.join("\n")
}

/// What evaluations of LLaVA and after it end a question with options with.
pub const INSTRUCTION: &str = "Answer with the option's letter from the given choices directly.";

/// The right answer from what the data say: an option's text or its letter, and neither where it is
/// none of the options.
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

/// The option with this text; where there is none, the only one that differs in case alone.
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

/// The option with this letter, or letter and text: `B`, `(b)`, `B. blue`.
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

/// An option that is right.
pub fn clear(place: usize, choices: &[String]) -> Right {
    Right {
        text: Some(choices[place].clone()),
        letter: letter(place),
        ..Right::default()
    }
}

/// A right answer of which it cannot be told which option it is, and why.
pub fn unclear(answer: &str, why: &str) -> Right {
    Right {
        text: Some(answer.trim().to_string()),
        unclear: Some(why.to_string()),
        ..Right::default()
    }
}
