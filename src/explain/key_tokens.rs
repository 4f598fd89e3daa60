//! Selection of the answer's tokens that depend on the picture.

/// Words without content of their own, as text so that the list applies to every tokenizer.
const FUNCTION_WORDS: [&str; 15] = [
    "", ".", ",", "-", "(", ")", "the", "and", "of", "a", "an", "this", "that", "is", "with",
];

/// Checks whether a token's text, stripped and in lower case, is a function word or punctuation.
/// Stripping removes white space and the four separators of ASCII, U+001C to U+001F, as in the
/// authors' program.
pub fn is_function_word(text: &str) -> bool {
    FUNCTION_WORDS.contains(&stripped(text).to_lowercase().as_str())
}

/// Returns a token's text without surrounding white space.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c))
}

/// Returns the key tokens' positions: `log p(token | picture) - log p(token | baseline) >
/// threshold`, without function words. An answer of one token is key if the baseline at least
/// halves its probability.
///
/// `image` and `baseline` are log-probabilities, `texts` the tokens' texts; all of equal length.
pub fn key_tokens(image: &[f64], baseline: &[f64], texts: &[String], threshold: f64) -> Vec<usize> {
    likelier(image, baseline, threshold, |t| is_function_word(&texts[t]))
}

/// Returns the positions of the tokens whose log-ratio exceeds the threshold, without those for
/// which `empty` returns true; an answer of one token is judged without `empty`.
pub(super) fn likelier(
    image: &[f64],
    baseline: &[f64],
    threshold: f64,
    empty: impl Fn(usize) -> bool,
) -> Vec<usize> {
    if let ([image], [baseline]) = (image, baseline) {
        return if baseline.exp() <= 0.5 * image.exp() {
            vec![0]
        } else {
            Vec::new()
        };
    }
    let ratios = image.iter().zip(baseline).map(|(i, b)| i - b);
    ratios
        .enumerate()
        .filter(|&(place, ratio)| ratio > threshold && !empty(place))
        .map(|(place, _)| place)
        .collect()
}
