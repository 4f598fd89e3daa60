//! The conversations of the original programs: one turn with a picture, up to where the answer
//! begins. A newline at the end of a template is written as an expression: as text, the template
//! engine drops it.

use crate::checkpoint::{DefaultTemplate, Tokenizer};
use crate::lvlm::decoder::Kind;

/// The picture and the question of the turn.
macro_rules! turn {
    () => {
        "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}\
         {{ image_token + '\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    };
}
pub(in crate::lvlm) use turn;

/// Vicuna's, of LLaVA-1.5.
pub(in crate::lvlm) const VICUNA_V1: DefaultTemplate = DefaultTemplate {
    name: "vicuna_v1",
    text: concat!(
        "A chat between a curious user and an artificial intelligence assistant. The assistant \
         gives helpful, detailed, and polite answers to the user's questions. USER: ",
        turn!(),
        " ASSISTANT:"
    ),
};
/// Yi's.
pub(in crate::lvlm) const CHATML_DIRECT: DefaultTemplate = DefaultTemplate {
    name: "chatml_direct",
    text: concat!(
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n",
        turn!(),
        "<|im_end|><|im_start|>assistant{{ '\n' }}"
    ),
};
/// The one of LLaVAs on Qwen.
const QWEN_1_5: DefaultTemplate = DefaultTemplate {
    name: "qwen_1_5",
    text: concat!(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        turn!(),
        "<|im_end|>\n<|im_start|>assistant{{ '\n' }}"
    ),
};
/// The one of LLaVAs on Mistral.
const MISTRAL_INSTRUCT: DefaultTemplate = DefaultTemplate {
    name: "mistral_instruct",
    text: concat!("[INST] ", turn!(), " [/INST]"),
};
/// The one of LLaVAs on Llama 3. The begin marker stands twice: the original program has one from
/// Llama 3's own template, which also trims the text, and the tokenizer puts another before it.
const LLAVA_LLAMA_3: DefaultTemplate = DefaultTemplate {
    name: "llava_llama_3",
    text: "<|begin_of_text|><|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are \
           a helpful language and vision assistant. You are able to understand the visual content \
           that the user provides, and assist the user with a variety of tasks using natural \
           language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n\
           {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}\
           {{ image_token + '\n' }}{% else %}{{ part['text'].rstrip() }}{% endif %}{% endfor %}\
           <|eot_id|><|start_header_id|>assistant<|end_header_id|>\n{{ '\n' }}",
};

/// Tokens that end an answer in one of these conversations.
pub(in crate::lvlm) const STOPS: [&str; 2] = ["<|eot_id|>", "<|im_end|>"];

/// Returns the conversation of a LLaVA on a decoder of that kind with that vocabulary.
pub(in crate::lvlm) fn conversation(kind: &Kind, tokenizer: &Tokenizer) -> DefaultTemplate {
    match kind.model_type {
        "qwen2" => QWEN_1_5,
        "mistral" => MISTRAL_INSTRUCT,
        _ if tokenizer.has("<|start_header_id|>") => LLAVA_LLAMA_3,
        _ if tokenizer.has("<|im_start|>") => CHATML_DIRECT,
        _ => VICUNA_V1,
    }
}
