//! Errors of pictures and of the configs of their processors.

/// An error of pictures. Every variant says where (file and field), what was expected and what was
/// found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file could not be opened, or is not a regular file.
    #[error("{name}: the picture cannot be opened: {source}")]
    Open {
        /// The file.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is larger than the limit.
    #[error(
        "{name}: a file of {found} bytes; expected at most {limit} \
         (more with --max-pixels, or picture::Limits)"
    )]
    FileSize {
        /// The file.
        name: String,
        /// Its size in bytes.
        found: u64,
        /// The largest accepted number of bytes.
        limit: u64,
    },
    /// The file's picture has no pixels, or more than the limit.
    #[error(
        "{name}: a picture of {width} x {height} pixels; expected at least 1 x 1, at most {limit} \
         pixels in all and {side} on a side (more with --max-pixels, or picture::Limits)"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
        /// The largest accepted number of pixels.
        limit: u64,
        /// The largest accepted number of columns and of rows.
        side: u32,
    },
    /// The content is of an unknown format or damaged.
    #[error("{name}: the picture does not decode: {reason}")]
    Decode {
        /// The file.
        name: String,
        /// The decoder's reason.
        reason: String,
    },
    /// A picture without pixels, or with more than the limit.
    #[error(
        "{name}: a picture of {width} x {height} pixels; expected at least 1 x 1 and at \
         most {limit} pixels in all"
    )]
    Size {
        /// The file, or the intended picture.
        name: String,
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
        /// The largest accepted number of pixels.
        limit: u64,
    },
    /// A blur with too large a kernel.
    #[error("a blur kernel of {found} pixels; expected at most {limit}")]
    Kernel {
        /// Its side.
        found: usize,
        /// The largest side.
        limit: usize,
    },
    /// The number of bytes does not match the size.
    #[error("{found} bytes for an RGB picture of {width} x {height}; expected {expected}")]
    Length {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// `3 * width * height`.
        expected: u64,
        /// The number of bytes given.
        found: usize,
    },
    /// The processor's config is not JSON.
    #[error("{file}: not valid JSON: {source}")]
    Syntax {
        /// The config file.
        file: String,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A field of the processor's config has an invalid value.
    #[error("{file}: field `{field}`: expected {expected}, found {found}")]
    Field {
        /// The config file.
        file: String,
        /// The field, with dots for nesting.
        field: String,
        /// The values that the field may hold.
        expected: String,
        /// The value that it holds.
        found: String,
    },
    /// The config and a picture of this size lead to an empty or absurdly large tensor.
    #[error("{file}: a picture of {width} x {height} becomes {found}; expected {expected}")]
    Output {
        /// The config file.
        file: String,
        /// The picture's columns.
        width: u32,
        /// The picture's rows.
        height: u32,
        /// The accepted values.
        expected: String,
        /// The value that would result.
        found: String,
    },
}
