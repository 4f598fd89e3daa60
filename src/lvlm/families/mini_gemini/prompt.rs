//! The conversations of the original Mini-Gemini, chosen by the vocabulary.

use crate::checkpoint::{DefaultTemplate, Tokenizer};
use crate::lvlm::family::conversations::{CHATML_DIRECT, VICUNA_V1, turn};

const GEMMA: DefaultTemplate = DefaultTemplate {
    name: "Mini-Gemini, gemma",
    text: concat!(
        "<start_of_turn>user\n",
        turn!(),
        "<end_of_turn>\n<start_of_turn>model{{ '\n' }}"
    ),
};
// The assistant's role really is spelt `system` there.
const LLAMA_3: DefaultTemplate = DefaultTemplate {
    name: "Mini-Gemini, llama_3",
    text: concat!(
        "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful language and vision \
         assistant. You are able to understand the visual content that the user provides, and \
         assist the user with a variety of tasks using natural language.<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\n",
        turn!(),
        "<|eot_id|><|start_header_id|>system<|end_header_id|>\n{{ '\n' }}"
    ),
};
/// Tokens that end an answer in one of the conversations.
pub(super) const STOPS: [&str; 3] = ["<end_of_turn>", "<|eot_id|>", "<|im_end|>"];

/// Returns the conversation of a model with this vocabulary.
pub(super) fn conversation(tokenizer: &Tokenizer) -> DefaultTemplate {
    let marks = [
        ("<start_of_turn>", GEMMA),
        ("<|start_header_id|>", LLAMA_3),
        ("<|im_start|>", CHATML_DIRECT),
    ];
    let known = marks.into_iter().find(|(mark, _)| tokenizer.has(mark));
    known.map_or(VICUNA_V1, |(_, conversation)| conversation)
}
