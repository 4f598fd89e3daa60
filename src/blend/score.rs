//! The scores of an answer's tokens.

/// The score of a token, of which gradients are taken. p is the token's probability given the
/// tokens before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Score {
    /// `log p`.
    #[default]
    LogProbability,
    /// `log p - log(1 - p)`. Its gradient is that of `log p` divided by `1 - p`, and so does not
    /// vanish where the model is certain.
    LogOdds,
}
