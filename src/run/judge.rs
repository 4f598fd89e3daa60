//! Checks whether an answer is right, by its letter or its words. The rule is for counting and does
//! not try to understand the answer.

use serde::{Deserialize, Serialize};

use super::Right;
use super::layout::{Ask, letter};

/// The largest number of words of a right answer without options that is searched for in an answer.
const SHORT: usize = 6;

/// The judgement of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The option that the answer names, by letter or by words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<char>,
    /// Whether the answer is right. An answer that names no option is not.
    pub correct: bool,
}

/// Judges an answer to a question with these options. Returns `None` if there is no right answer,
/// none short enough to search for, or if it is unclear which option is right.
///
/// With options, the option that the answer names must be the right one: by its letter (only if the
/// question was asked with the options), otherwise by being the only one whose words the answer
/// contains. Without options, the answer must contain the words of the right answer in a row. Words
/// are compared in lower case; numbers up to twenty may be written either way.
pub fn judge(
    answer: &str,
    choices: &[String],
    right: Option<&Right>,
    ask: Ask,
) -> Option<Judgement> {
    let right = right.filter(|right| right.unclear.is_none())?;
    let lettered = match ask {
        Ask::Choice => by_letter(answer, choices.len()),
        Ask::Open => None,
    };
    if let Some(expected) = right.letter {
        let chosen = by_text(answer, choices, true)
            .or(lettered)
            .or_else(|| by_text(answer, choices, false));
        if ask == Ask::Open && choices.is_empty() {
            return None;
        }
        return Some(Judgement {
            chosen,
            correct: chosen == Some(expected),
        });
    }
    plain(answer, right)
}

fn plain(answer: &str, right: &Right) -> Option<Judgement> {
    let texts = right.text.iter().chain(&right.others);
    let right: Vec<Vec<String>> = texts.map(|text| words(text)).collect();
    let answer = words(answer);
    let short = right.iter().all(|right| (1..=SHORT).contains(&right.len()));
    (short && !right.is_empty()).then(|| Judgement {
        chosen: None,
        correct: right.iter().any(|right| within(&answer, right)),
    })
}

/// Returns the option whose text is the whole answer (`whole`), or the only one whose text the
/// answer contains. An option is not counted if its words are part of another option's words that
/// the answer also contains.
fn by_text(answer: &str, choices: &[String], whole: bool) -> Option<char> {
    let answer = words(answer);
    let texts: Vec<Vec<String>> = choices.iter().map(|c| words(c)).collect();
    let named = |text: &Vec<String>| {
        !text.is_empty()
            && if whole {
                answer == *text
            } else {
                within(&answer, text)
            }
    };
    let found: Vec<usize> = (0..texts.len()).filter(|&c| named(&texts[c])).collect();
    let larger = |c: usize| {
        found
            .iter()
            .any(|&d| texts[d].len() > texts[c].len() && within(&texts[d], &texts[c]))
    };
    let mut last = found.iter().filter(|&&c| !larger(c));
    match (last.next(), last.next()) {
        (Some(&only), None) => letter(only),
        _ => None,
    }
}

/// Returns the letter that an answer begins with, has in brackets, or ends with: `B`, `B. Two`, `It
/// is (b)`, `The answer is B.`
fn by_letter(answer: &str, choices: usize) -> Option<char> {
    let most = if choices == 0 { 26 } else { choices };
    let valid = |c: char| {
        let upper = c.to_ascii_uppercase();
        (0..most).any(|p| letter(p) == Some(upper)).then_some(upper)
    };
    let answer = answer.trim().trim_matches('*').trim();
    let chars: Vec<char> = answer.chars().collect();
    let first = match chars.as_slice() {
        [only] => valid(*only),
        [first, '.' | ')' | ':' | ',' | '\n', ..] => valid(*first),
        _ => None,
    };
    if first.is_some() {
        return first;
    }
    let bracketed = chars.windows(3).filter(|w| w[0] == '(' && w[2] == ')');
    let mut bracketed: Vec<char> = bracketed.filter_map(|w| valid(w[1])).collect();
    bracketed.dedup();
    match bracketed.as_slice() {
        [] => {}
        [only] => return Some(*only),
        _ => return None,
    }
    let last = answer.split_whitespace().last()?;
    let mut last = last.trim_end_matches(['.', ')', '*']).chars();
    match (last.next(), last.next()) {
        (Some(only), None) if only.is_ascii_uppercase() => valid(only),
        _ => None,
    }
}

/// Checks whether `words` contains `part` as consecutive words.
fn within(words: &[String], part: &[String]) -> bool {
    !part.is_empty() && words.windows(part.len()).any(|w| w == part)
}

/// Splits text into words in lower case, with numbers as digits.
fn words(text: &str) -> Vec<String> {
    const NUMBERS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    let text = text.to_lowercase();
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty());
    let digits = |word: &str| {
        NUMBERS
            .iter()
            .position(|n| *n == word)
            .map(|n| n.to_string())
    };
    words
        .map(|w| digits(w).unwrap_or_else(|| w.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(text: Option<&str>, letter: Option<char>) -> Right {
        Right {
            text: text.map(str::to_string),
            letter,
            ..Right::default()
        }
    }

    #[test]
    fn an_option_is_named_by_letter_or_by_words() {
        let choices = ["A red car", "Two", "A car", "None"].map(String::from);
        let right = right(Some("Two"), Some('B'));
        let judge = |answer, ask| judge(answer, &choices, Some(&right), ask).unwrap();
        for (answer, chosen) in [
            ("B", Some('B')),
            ("b.", Some('B')),
            ("(B)", Some('B')),
            ("B. Two", Some('B')),
            ("The answer is B.", Some('B')),
            ("It is (d), I think", Some('D')),
            ("(a) or (b)", None),
            ("There are two of them.", Some('B')),
            ("2", Some('B')),
            ("It is a red car.", Some('A')),
            ("E", None),
            ("A dog", None),
            ("two cars, or none", None),
            ("", None),
        ] {
            let judged = judge(answer, Ask::Choice);
            assert_eq!(judged.chosen, chosen, "{answer:?}");
            assert_eq!(judged.correct, chosen == Some('B'), "{answer:?}");
        }
        // An open question was asked without letters.
        assert_eq!(judge("(B)", Ask::Open).chosen, None);
        assert!(judge("I see two.", Ask::Open).correct);
    }

    #[test]
    fn a_short_right_answer_is_looked_for_and_a_long_one_is_not() {
        let judge = |answer, right: &Right, ask| judge(answer, &[], Some(right), ask);
        let blue = right(Some("blue"), None);
        assert!(
            judge("The circle is Blue.", &blue, Ask::Open)
                .unwrap()
                .correct
        );
        assert!(!judge("It is bluest.", &blue, Ask::Open).unwrap().correct);
        let long = right(
            Some("The picture shows a beach with seven people on it"),
            None,
        );
        assert_eq!(judge("A beach", &long, Ask::Open), None);
        let unknown = right(None, Some('C'));
        assert_eq!(judge("whatever", &unknown, Ask::Open), None);
        assert!(judge("C", &unknown, Ask::Choice).unwrap().correct);
    }

    #[test]
    fn one_of_several_right_answers_is_right_and_an_unclear_one_is_not_judged() {
        let mut several = right(Some("24/7"), None);
        several.others = vec!["3.429".into()];
        let judge = |answer, right: &Right| judge(answer, &[], Some(right), Ask::Open);
        assert!(judge("It is 3.429.", &several).unwrap().correct);
        assert!(judge("24/7", &several).unwrap().correct);
        assert!(!judge("3", &several).unwrap().correct);
        several.unclear = Some("none of the options".into());
        assert_eq!(judge("24/7", &several), None);
    }
}
