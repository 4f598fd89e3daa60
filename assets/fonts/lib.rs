//! The fonts that foveate draws text with, as bytes of their files. They are a crate of their own
//! because their licences are.

/// DejaVu Sans.
pub const SANS: &[u8] = include_bytes!("DejaVuSans.ttf");
/// DejaVu Sans Bold.
pub const SANS_BOLD: &[u8] = include_bytes!("DejaVuSans-Bold.ttf");
/// A subset of Noto Sans CJK, regular: Chinese, Japanese and Korean.
pub const CJK: &[u8] = include_bytes!("NotoSansCJK-Subset.otf");
/// A subset of Noto Emoji, regular and without colours.
pub const EMOJI: &[u8] = include_bytes!("NotoEmoji-Subset.ttf");
