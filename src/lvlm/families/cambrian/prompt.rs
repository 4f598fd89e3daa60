//! The conversations of the original Cambrian-1, chosen by the vocabulary.

use crate::checkpoint::{DefaultTemplate, Tokenizer};
use crate::lvlm::family::conversations::{VICUNA_V1, turn};

const PHI3: DefaultTemplate = DefaultTemplate {
    name: "Cambrian-1, phi3",
    text: concat!(
        "<|system|>\nYou are a helpful AI assistant.<|end|>\n<|user|>\n",
        turn!(),
        "<|end|>\n<|assistant|>{{ '\n' }}"
    ),
};
// The blanks at the beginnings of lines are those of the original.
const LLAMA_3: DefaultTemplate = DefaultTemplate {
    name: "Cambrian-1, llama_3",
    text: concat!(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>You are Cambrian, a highly \
         intelligent multimodal AI trained by NYU Vision X. \n    As a multimodal AI, you have \
         the ability to process and analyze images. Whenever an image is present in the \
         conversation, very carefully examine it and consider its content when formulating \
         your response.\n    You should give concise responses to very simple questions, but \
         provide thorough responses to more complex and open-ended questions. <|eot_id|>\
         <|start_header_id|>user<|end_header_id|>",
        turn!(),
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
    ),
};
const CHATML: DefaultTemplate = DefaultTemplate {
    name: "Cambrian-1, chatml_direct",
    text: concat!(
        "<|im_start|>system\nYou are Cambrian, a highly intelligent multimodal AI trained by NYU \
         Vision X. As a multimodal AI, you have the ability to process and analyze images. \
         Whenever an image is present in the conversation, very carefully examine it and consider \
         its content when formulating your response. You should give concise responses to very \
         simple questions, but provide thorough responses to more complex and open-ended \
         questions.<|im_end|><|im_start|>user\n",
        turn!(),
        "<|im_end|><|im_start|>assistant{{ '\n' }}"
    ),
};
/// Tokens that end an answer in one of the conversations.
pub(super) const STOPS: [&str; 3] = ["<|end|>", "<|eot_id|>", "<|im_end|>"];

/// Returns the conversation of a model with this vocabulary.
pub(super) fn conversation(tokenizer: &Tokenizer) -> DefaultTemplate {
    let marks = [
        ("<|assistant|>", PHI3),
        ("<|start_header_id|>", LLAMA_3),
        ("<|im_start|>", CHATML),
    ];
    let known = marks.into_iter().find(|(mark, _)| tokenizer.has(mark));
    known.map_or(VICUNA_V1, |(_, conversation)| conversation)
}
