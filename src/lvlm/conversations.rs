//! The conversations of models' authors: one turn with a picture, up to where the answer begins. A newline at the end of a template
//! is written as an expression: as text, the template engine drops it.

use crate::checkpoint::DefaultTemplate;

/// The picture and the question of the one turn.
macro_rules! turn {
    () => {
        "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}{{ image_token + '\n' }}{% else %}\
         {{ part['text'] }}{% endif %}{% endfor %}"
    };
}
pub(super) use turn;

/// LLaVA's, of Vicuna.
pub(super) const VICUNA_V1: DefaultTemplate = DefaultTemplate {
    name: "vicuna_v1",
    text: concat!(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and \
         polite answers to the user's questions. USER: ",
        turn!(),
        " ASSISTANT:"
    ),
};
/// That of models on Yi.
pub(super) const CHATML_DIRECT: DefaultTemplate = DefaultTemplate {
    name: "chatml_direct",
    text: concat!(
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n",
        turn!(),
        "<|im_end|><|im_start|>assistant{{ '\n' }}"
    ),
};
