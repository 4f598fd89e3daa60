//! Which tokens of an answer rest on the picture.

/// Words that carry no content of their own, by text so that it holds for every tokenizer.
const FUNCTION_WORDS: [&str; 15] = [
    "", ".", ",", "-", "(", ")", "the", "and", "of", "a", "an", "this", "that", "is", "with",
];

/// Whether a token's text, stripped and in lower case, is a function word or punctuation. Stripped
/// are white space and the four separators of ASCII, U+001C to U+001F, as in the authors' program.
pub fn is_function_word(text: &str) -> bool {
    FUNCTION_WORDS.contains(&stripped(text).to_lowercase().as_str())
}

/// A token's text without what is blank around it.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c))
}

/// The key tokens' places: `log p(token | picture) - log p(token | baseline) > threshold`, function
/// words left out. An answer of one token is key when the baseline at least halves its probability.
///
/// `image` and `baseline` are log-probabilities, `texts` the tokens' texts; all of one length.
pub fn key_tokens(image: &[f64], baseline: &[f64], texts: &[String], threshold: f64) -> Vec<usize> {
    likelier(image, baseline, threshold, |t| is_function_word(&texts[t]))
}

/// The places of the tokens that the picture makes likelier by more than the threshold, those left
/// out of which `empty` says that they have no content; an answer of one token is judged without
/// it.
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
