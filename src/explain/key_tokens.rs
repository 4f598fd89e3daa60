//! Which tokens of an answer rest on the picture.

/// Words that carry no content of their own, by text so that it holds for every tokenizer.
const FUNCTION_WORDS: [&str; 15] = [
    "", ".", ",", "-", "(", ")", "the", "and", "of", "a", "an", "this", "that", "is", "with",
];

/// Whether a token's text, stripped and in lower case, is a function word or punctuation. Stripped are white space and the four
/// separators of ASCII, U+001C to U+001F, as in the authors' program.
pub fn is_function_word(text: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c);
    FUNCTION_WORDS.contains(&text.trim_matches(blank).to_lowercase().as_str())
}

/// The key tokens' places: `log p(token | picture) - log p(token | baseline) > threshold`, function words left out. An
/// answer of one token is key when the baseline at least halves its probability.
///
/// `image` and `baseline` are log-probabilities, `texts` the tokens' texts; all of one length.
pub fn key_tokens(image: &[f64], baseline: &[f64], texts: &[String], threshold: f64) -> Vec<usize> {
    if let ([image], [baseline]) = (image, baseline) {
        return if baseline.exp() <= 0.5 * image.exp() {
            vec![0]
        } else {
            Vec::new()
        };
    }
    let ratios = image.iter().zip(baseline).map(|(i, b)| i - b);
    ratios
        .zip(texts)
        .enumerate()
        .filter(|(_, (ratio, text))| *ratio > threshold && !is_function_word(text))
        .map(|(place, _)| place)
        .collect()
}
