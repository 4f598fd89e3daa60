//! Errors of reading a checkpoint from a folder of files.

use std::io;

/// A checkpoint that cannot be used, with where and why. Every `file` is a path that a user can
/// look up or, for a model embedded in the program, the model's name and the file's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The path given as a checkpoint is not a readable folder.
    #[error("{path}: expected a checkpoint folder, found {found}")]
    NoFolder {
        /// The path as given.
        path: String,
        /// The kind of thing found instead.
        found: String,
    },
    /// The operating system refused to read a file.
    #[error("{file}: cannot be read: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A required file is absent.
    #[error("{file}: no such file; {purpose}")]
    MissingFile {
        /// The missing file.
        file: String,
        /// The file's purpose, and how to obtain it.
        purpose: String,
    },
    /// A text file far larger than any real one.
    #[error("{file}: {bytes} bytes, more than the {limit} allowed for a text file")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size in bytes.
        bytes: u64,
        /// The largest accepted size in bytes.
        limit: u64,
    },
    /// A file of text that is not UTF-8.
    #[error("{file}: expected UTF-8 text, found other bytes after byte {valid}")]
    NotText {
        /// The file.
        file: String,
        /// Number of valid bytes before the first invalid one.
        valid: usize,
    },
    /// Text that is not the expected JSON.
    #[error("{file}: not the expected JSON: {reason}")]
    Json {
        /// The file.
        file: String,
        /// The parser's message with line and column.
        reason: String,
    },
    /// A clone made without Git LFS leaves small pointer texts in place of the files.
    #[error(
        "{file}: is a Git LFS pointer, not the file itself; fetch it with `git lfs \
         pull` or download it again"
    )]
    LfsPointer {
        /// The file.
        file: String,
    },

    /// The file is too short to hold a safetensors header.
    #[error("{file}: {bytes} bytes, shorter than the 8 that begin a safetensors file")]
    TooShort {
        /// The file.
        file: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// The header's stated length exceeds the file or the format's limit.
    #[error(
        "{file}: header of {header} bytes announced, the file has room for {room}: \
         truncated or not safetensors"
    )]
    HeaderBeyondFile {
        /// The file.
        file: String,
        /// The stated length in bytes.
        header: u64,
        /// The largest possible length in bytes.
        room: usize,
    },
    /// A header that is not a safetensors header.
    #[error("{file}: bad safetensors header: {reason}")]
    BadHeader {
        /// The file.
        file: String,
        /// The entry and its fault.
        reason: String,
    },
    /// A tensor's size overflows.
    #[error("{file}: tensor {tensor}: shape {shape:?} overflows")]
    ShapeOverflow {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The stated shape.
        shape: Vec<usize>,
    },
    /// A tensor's byte range contradicts its shape and dtype.
    #[error(
        "{file}: tensor {tensor}: {dtype} of shape {shape:?} takes {expected} bytes, its range \
         [{begin}, {end}) does not"
    )]
    ByteRange {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// Its dtype.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that shape and dtype need.
        expected: usize,
        /// Start of the stated range, in bytes from the end of the header.
        begin: usize,
        /// End of the stated range.
        end: usize,
    },
    /// Two tensors claim the same bytes.
    #[error("{file}: tensors {first} and {second} overlap")]
    Overlap {
        /// The file.
        file: String,
        /// The tensor that starts first.
        first: String,
        /// The tensor that starts inside it.
        second: String,
    },
    /// Bytes that belong to no tensor, which the format forbids.
    #[error("{file}: bytes [{begin}, {end}) of the data belong to no tensor")]
    Gap {
        /// The file.
        file: String,
        /// First such byte, counted from the end of the header.
        begin: usize,
        /// End of the gap.
        end: usize,
    },
    /// A tensor reaches past the end of the file.
    #[error(
        "{file}: tensor {tensor} ends at byte {end} of the data, the file holds {data}: truncated, \
         or its offsets are wrong"
    )]
    BeyondFile {
        /// The file.
        file: String,
        /// The first such tensor.
        tensor: String,
        /// Its end, in bytes from the end of the header.
        end: usize,
        /// Bytes of data in the file.
        data: usize,
    },
    /// A tensor in a number format that is not supported.
    #[error(
        "{file}: tensor {tensor} is {dtype}{}; supported are F16, BF16 and F32",
        quantised(.dtype)
    )]
    UnsupportedDtype {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// Its dtype as safetensors names it.
        dtype: String,
    },
    /// The same tensor name in two shards.
    #[error("tensor {tensor} is in both {first} and {second}")]
    DuplicateTensor {
        /// The tensor's name.
        tensor: String,
        /// The shard read first.
        first: String,
        /// The other shard.
        second: String,
    },
    /// The index names a shard that does not exist.
    #[error("{index}: names the shard {shard}, which does not exist")]
    MissingShard {
        /// The index file.
        index: String,
        /// The shard's file name.
        shard: String,
    },
    /// The index names a tensor that its shard does not hold.
    #[error("{index}: places tensor {tensor} in {shard}, which does not hold it")]
    NotInShard {
        /// The index file.
        index: String,
        /// The tensor's name.
        tensor: String,
        /// The shard's file name.
        shard: String,
    },
    /// The index names a file outside the checkpoint's folder.
    #[error(
        "{index}: shard name {shard:?} is not a plain file name; shards must lie beside the index"
    )]
    ShardOutside {
        /// The index file.
        index: String,
        /// The name as written.
        shard: String,
    },

    /// A tensor that the architecture needs is absent.
    #[error("{model}: tensor {tensor} of shape {shape:?} is missing")]
    MissingTensor {
        /// The checkpoint.
        model: String,
        /// The tensor's name.
        tensor: String,
        /// The shape that the config requires.
        shape: Vec<usize>,
    },
    /// A tensor's shape contradicts the config.
    #[error("{file}: tensor {tensor} has shape {found:?}; the config asks for {expected:?}")]
    ShapeMismatch {
        /// The file that holds the tensor.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The shape that the config requires.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A range of rows that a tensor does not have.
    #[error("{file}: tensor {tensor}: expected a range of its {rows} rows, found {found:?}")]
    Rows {
        /// The file that holds the tensor.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The number of rows that it has.
        rows: usize,
        /// The requested range.
        found: std::ops::Range<usize>,
    },
    /// One part's tensors are stored under two naming schemes at once.
    #[error("{model}: tensors of the {part} are stored under both {first}* and {second}*")]
    AmbiguousNames {
        /// The checkpoint.
        model: String,
        /// The part.
        part: &'static str,
        /// One prefix of its names.
        first: String,
        /// The other prefix.
        second: String,
    },

    /// An encoder with a checkpoint of its own was not found.
    #[error(
        "{file}: {field} names the encoder {encoder:?}, which was not found; looked for in {}; \
         name a folder that holds it with --encoders",
        .looked.join(", ")
    )]
    MissingEncoder {
        /// The model's config file.
        file: String,
        /// The config's field that names the encoder.
        field: String,
        /// The encoder that the field names.
        encoder: String,
        /// The places searched.
        looked: Vec<String>,
    },
    /// An unsupported model family.
    #[error("{file}: unsupported architecture: {field} is {found:?}; supported: {supported}")]
    UnsupportedArchitecture {
        /// The config file.
        file: String,
        /// The field that names the family.
        field: String,
        /// Its value.
        found: String,
        /// The supported values.
        supported: &'static str,
    },
    /// A kind of checkpoint that is not supported, by the kind's own name.
    #[error("{file}: {kind}, which is not supported; {advice}")]
    Unsupported {
        /// The file, and the field that names the kind, if any.
        file: String,
        /// The kind.
        kind: String,
        /// Advice to the user.
        advice: String,
    },
    /// A config field with an invalid value.
    #[error("{file}: {field} is {found}; expected {expected}")]
    Config {
        /// The config file.
        file: String,
        /// The field, with its section.
        field: String,
        /// Its value.
        found: String,
        /// The accepted values.
        expected: String,
    },

    /// The tokenizer's files cannot be used.
    #[error("{file}: tokenizer cannot be loaded: {reason}")]
    Tokenizer {
        /// The file.
        file: String,
        /// The `tokenizers` crate's message.
        reason: String,
    },
    /// A text that the tokenizer rejects.
    #[error("{file}: the tokenizer cannot encode the {what}: {reason}")]
    Encode {
        /// The tokenizer's file.
        file: String,
        /// The kind of text.
        what: &'static str,
        /// The `tokenizers` crate's message.
        reason: String,
    },
    /// Tokens that the tokenizer cannot decode.
    #[error("{file}: the tokenizer cannot decode an answer: {reason}")]
    Decode {
        /// The tokenizer's file.
        file: String,
        /// The `tokenizers` crate's message.
        reason: String,
    },
    /// The tokenizer has no image token for the prompt.
    #[error(
        "{file}: no image token: the config's image_token_id is {id}, the tokenizer has {found} \
         there and looked for {text:?}"
    )]
    NoImageToken {
        /// The tokenizer's file.
        file: String,
        /// The id that the config gives.
        id: u32,
        /// The token text looked for.
        text: String,
        /// The token that the tokenizer has under that id.
        found: String,
    },
    /// The prompt does not hold exactly one image token for each picture.
    #[error(
        "{file}: the chat template puts {found} image {noun} ({token:?}) into the prompt; \
         expected exactly {expected}",
        found = if *.found == 0 { "no".to_string() } else { .found.to_string() },
        noun = if *.found > 1 { "tokens" } else { "token" },
        expected = if *.expected == 1 { "one".to_string() } else { .expected.to_string() }
    )]
    ImageTokens {
        /// The source of the chat template.
        file: String,
        /// The image token's text.
        token: String,
        /// The number expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// Special tokens in a question or an answer that this tokenizer cannot encode as plain text.
    #[error(
        "{file}: the {what} contains {token:?}, which this tokenizer cannot encode as plain text"
    )]
    SpecialInText {
        /// The tokenizer's file.
        file: String,
        /// The kind of text.
        what: &'static str,
        /// The token's text.
        token: String,
    },
    /// The chat template does not compile or fails when rendered.
    #[error("{file}: chat template: {reason}")]
    Template {
        /// The source of the template.
        file: String,
        /// The template engine's message with its line.
        reason: String,
    },
}

/// Returns an addition to the message for dtypes that only quantised weights have.
fn quantised(dtype: &str) -> &'static str {
    let small = ["F8", "F6", "F4"];
    match small.iter().any(|start| dtype.starts_with(start)) {
        true => ", as quantised weights are",
        false => "",
    }
}
