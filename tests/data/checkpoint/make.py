"""Makes this folder's test data anew: what transformers says of made-up checkpoints.

    python make.py            needs torch, transformers 5.23, tokenizers

configs.json   partial config.json files, and the values that transformers resolves them to
rope.json      decoders' configs, and the rotary frequencies and attention factors that transformers computes from them
tensors.json   names and shapes of the tensors that transformers saves for small models
NAME/          a small tokenizer with a chat template, in the styles of the checkpoints in use
prompts.json   for each NAME and question: the prompt and its ids, the question's own ids as an answer, and their text
"""
import json, os, tempfile
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

here = os.path.dirname(os.path.abspath(__file__))


def write(name, value):
    with open(os.path.join(here, name), "w") as file:
        json.dump(value, file, indent=1, ensure_ascii=True)
        file.write("\n")


# ---- configs

HUB = dict(  # the layout of the hub's LLaVA-1.5 conversions: most of text_config is left out
    architectures=["LlavaForConditionalGeneration"], ignore_index=-100, image_token_index=32000, model_type="llava",
    pad_token_id=32001, projector_hidden_act="gelu", tie_word_embeddings=False, torch_dtype="float16", vocab_size=32064,
    text_config=dict(_name_or_path="lmsys/vicuna-7b-v1.5", architectures=["LlamaForCausalLM"], max_position_embeddings=4096,
                     model_type="llama", rms_norm_eps=1e-05, torch_dtype="float16", vocab_size=32064),
    vision_config=dict(hidden_size=1024, image_size=336, intermediate_size=4096, model_type="clip_vision_model",
                       num_attention_heads=16, num_hidden_layers=24, patch_size=14, projection_dim=768, vocab_size=32000),
    vision_feature_layer=-2, vision_feature_select_strategy="default")
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)


def llava(**fields):
    return dict(model_type="llava", **fields)


def text(**fields):
    return llava(text_config=dict(model_type="llama", **fields))


CONFIGS = [
    HUB, llava(), llava(text_config={}, vision_config={}), llava(vision_config=dict(image_size=[224, 224])),
    llava(image_token_id=7), llava(image_token_index=9, image_seq_length=16), llava(tie_word_embeddings=True),
    text(tie_word_embeddings=True), text(hidden_size=96, num_attention_heads=6), text(head_dim=24, num_key_value_heads=8),
    text(rope_theta=5e5), text(rope_scaling=dict(type="linear", factor=2.0)),
    text(rope_scaling=dict(rope_type="linear", factor=4), rope_theta=2e4),
    text(rope_scaling=dict(rope_type="llama3", original_max_position_embeddings=1024, **LLAMA3), rope_theta=5e5),
    text(rope_scaling=dict(rope_type="llama3", **LLAMA3), max_position_embeddings=4096),
    text(rope_parameters=dict(rope_type="llama3", rope_theta=1e6, original_max_position_embeddings=512, **LLAMA3)),
    text(rope_parameters=dict(rope_type="default", rope_theta=1234.5)), text(rope_parameters=dict(rope_type="default"), rope_theta=77.0),
    text(attention_bias=True, mlp_bias=True, hidden_act="gelu"),
    llava(vision_feature_layer=3, vision_feature_select_strategy="full", multimodal_projector_bias=False,
          projector_hidden_act="quick_gelu"),
    llava(vision_config=dict(hidden_act="gelu", layer_norm_eps=1e-6, num_hidden_layers=3)),
]


def resolved(fields):
    config = LlavaConfig(**{name: value for name, value in fields.items() if name != "model_type"})
    v, t = config.vision_config, config.text_config
    square = lambda size: size[0] if isinstance(size, (list, tuple)) else size
    return dict(
        vision=dict(hidden=v.hidden_size, intermediate=v.intermediate_size, layers=v.num_hidden_layers, heads=v.num_attention_heads,
                    image_size=square(v.image_size), patch_size=v.patch_size, activation=v.hidden_act, layer_norm_eps=v.layer_norm_eps,
                    channels=v.num_channels),
        text=dict(hidden=t.hidden_size, intermediate=t.intermediate_size, layers=t.num_hidden_layers, heads=t.num_attention_heads,
                  kv_heads=t.num_key_value_heads, head_dim=t.head_dim, rms_norm_eps=t.rms_norm_eps, rope=t.rope_parameters,
                  max_positions=t.max_position_embeddings, vocab=t.vocab_size, tied_embeddings=config.tie_word_embeddings,
                  attention_bias=t.attention_bias, mlp_bias=t.mlp_bias, activation=t.hidden_act),
        image_token_id=config.image_token_id, projector_activation=config.projector_hidden_act,
        projector_bias=config.multimodal_projector_bias, feature_layer=config.vision_feature_layer,
        select=config.vision_feature_select_strategy)


# ---- rotary frequencies

PHI = [1.0, 1.1, 1.3, 2.0, 3.5, 8.0]
LONG = dict(rope_type="longrope", short_factor=PHI, long_factor=[2 * factor for factor in PHI])
YARN = dict(rope_type="yarn", factor=4.0)


def decoder(kind="llama", rope=None, context=4096, **fields):
    fields = dict(hidden_size=48, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context, **fields)
    return dict(model_type=kind, rope_scaling=rope, **fields)


def yarn(**fields):
    return decoder(rope=YARN | fields, rope_theta=5e5)


ROPES = [
    decoder(), decoder(rope_theta=123.0), decoder(rope=dict(type="linear", factor=3.0)), decoder(rope=dict(rope_type="dynamic", factor=2.0)),
    decoder(rope=dict(rope_type="llama3", original_max_position_embeddings=512, **LLAMA3), rope_theta=5e5),
    yarn(), yarn(original_max_position_embeddings=1024), yarn(original_max_position_embeddings=64, truncate=False),
    yarn(original_max_position_embeddings=64, truncate=None), yarn(attention_factor=0.75), yarn(beta_fast=4, beta_slow=0.5),
    yarn(mscale=0.7, mscale_all_dim=1.3), yarn(mscale=0.7), yarn(mscale=0, mscale_all_dim=1.3), yarn(factor=0.5), yarn(factor=None),
    yarn(factor=None, original_max_position_embeddings=512), yarn(beta_fast=1, beta_slow=1, original_max_position_embeddings=100),
    decoder(rope=YARN, rope_theta=1e6, original_max_position_embeddings=256), decoder("qwen2", YARN | dict(original_max_position_embeddings=2048)),
    decoder("qwen3", YARN | dict(original_max_position_embeddings=2048), head_dim=16), decoder("mistral", YARN, head_dim=20),
    decoder("granite", YARN, rope_theta=3e5), decoder(rope=LONG), decoder(rope=LONG | dict(original_max_position_embeddings=1024)),
    decoder(rope=LONG | dict(original_max_position_embeddings=1024, factor=16.0)), decoder(rope=LONG | dict(attention_factor=1.5)),
    decoder("phi3", context=131072, rope=LONG, original_max_position_embeddings=2048), decoder("phi3", LONG), decoder("phi3", LONG, 8192),
    decoder("phi3", LONG | dict(rope_type="yarn"), 8192), decoder("phi3", LONG | dict(original_max_position_embeddings=64), 8192),
    decoder("phi3", partial_rotary_factor=0.5, rope_theta=500.0), decoder("gemma", head_dim=32),
    decoder("phi3", LONG | dict(short_factor=PHI[:3], long_factor=PHI[3:]), 16384, partial_rotary_factor=0.5, original_max_position_embeddings=4096),
]


def rotary(fields):
    kind = AutoConfig.for_model(**json.loads(json.dumps(fields)))
    kind.num_hidden_layers = 1
    turning = AutoModel.from_config(kind).rotary_emb
    own = kind.rope_parameters.get("original_max_position_embeddings")
    longest = min(kind.max_position_embeddings, own) if kind.rope_parameters["rope_type"] == "longrope" else kind.max_position_embeddings
    return dict(config=fields, frequencies=turning.inv_freq.tolist(), attention_factor=turning.attention_scaling, longest=longest)


# ---- tensors

def saved(vision, decoder, **fields):
    vision = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=3, num_attention_heads=2, image_size=8, patch_size=4, **vision)
    decoder = dict(vocab_size=20, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=3, **decoder)
    config = LlavaConfig(vision_config=CLIPVisionConfig(**vision), text_config=LlamaConfig(**decoder), image_token_index=3, **fields)
    with tempfile.TemporaryDirectory() as folder:
        LlavaForConditionalGeneration(config).save_pretrained(folder)
        with open(os.path.join(folder, "config.json")) as file:
            written = json.load(file)
        with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
            shapes = {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}
    return dict(config=written, tensors=shapes)


MODELS = [
    saved({}, {}), saved({}, dict(num_key_value_heads=1, tie_word_embeddings=True)),
    saved({}, dict(attention_bias=True, mlp_bias=True, head_dim=6), vision_feature_layer=1, multimodal_projector_bias=False),
    saved({}, {}, vision_feature_layer=-1, vision_feature_select_strategy="full"),
]

# ---- prompts

SPECIAL = ["<unk>", "<s>", "</s>", "<image>", "<|start|>", "<|end|>"]
CORPUS = [
    "What color is the circle? The circle is red.", "Where is the star? It is at the top left of the picture.",
    "How many objects are there? There are three objects.", "Describe the image in detail, please.",
    "USER: Is there a green square?\nASSISTANT: Yes, there is one below the circle.", "You are a helpful assistant.",
]
# The hub's own LLaVA-1.5 template, tags for training included.
LLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}"
    "{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}"
    "{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}")
# Indented, so that what is trimmed shows; contents are lists.
CHATML = """{% for message in messages %}
    {% if loop.first and messages[0]['role'] != 'system' %}
<|start|>system
You are a helpful assistant.<|end|>
    {% endif %}
<|start|>{{ message['role'] }}
    {% for content in message['content'] %}
        {%- if content['type'] == 'image' %}
<image>
        {%- elif 'text' in content %}
            {%- generation -%}
{{ content['text'] }}
            {%- endgeneration %}
        {%- endif %}
    {% endfor %}
<|end|>
{% endfor %}
{% if add_generation_prompt %}
<|start|>assistant
{% endif %}
"""
# Contents are texts, trimmed; the begin token is written by the template.
PLAIN = """{{- bos_token }}
{%- if tools is not none %}
    {{- raise_exception("no tools here") }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet))
    return tokenizer


def sentence_piece():
    """In the style of Llama 2's: spaces become a letter, unknown characters bytes, the begin token is added."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL + fallback))
    parts = json.loads(trained.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] in SPECIAL]
    for token in parts["added_tokens"]:
        if token["content"] == "<image>":
            token.update(normalized=True, rstrip=True)
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    begin = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[begin])
    return Tokenizer.from_str(tokenizer.to_str())


QUESTIONS = [
    "What color is the circle?", " What color is the circle?", "Where is the star? ", "\nDescribe it.\n\n", "  two  spaces\t and a tab  ",
    "\u00e9\u00fc \u4e2d\u6587 \u65e5\u672c \U0001f642", "don't <im age> </ s> [x] _ \u2581 <", "USER: a\nASSISTANT: b", "x", "\u200b\u00a0y",
]
TOKENIZERS = {
    "llava": (sentence_piece(), LLAVA, "list"), "chatml": (byte_level(), CHATML, "json"), "plain": (byte_level(), PLAIN, "config"),
    "jinja": (byte_level(), LLAVA, "jinja"),
}


def prompts(name, tokenizer, template, place):
    folder = os.path.join(here, name)
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    settings = dict(bos_token="<s>", eos_token=dict(content="</s>", special=True), unk_token="<unk>")
    if place == "jinja":
        with open(os.path.join(folder, "chat_template.jinja"), "w") as file:
            file.write(template)
    elif place == "json":
        write(f"{name}/chat_template.json", dict(chat_template=template))
    else:
        named = [dict(name="tool_use", template="none"), dict(name="default", template=template)]
        settings["chat_template"] = named if place == "list" else template
    write(f"{name}/tokenizer_config.json", settings)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    cases = []
    for question in QUESTIONS:
        parts = [dict(type="image"), dict(type="text", text=question)]
        content = "<image>\n" + question if template == PLAIN else parts
        prompt = fast.apply_chat_template([dict(role="user", content=content)], chat_template=template, tokenize=False,
                                          add_generation_prompt=True)
        # As transformers' processors: the begin token is added unless the template has written it.
        ids = fast(prompt, add_special_tokens=not prompt.startswith("<s>"))["input_ids"]
        answer = fast(question, add_special_tokens=False)["input_ids"]
        decoded = fast.decode(answer, clean_up_tokenization_spaces=False)
        cases.append(dict(question=question, prompt=prompt, ids=ids, answer=answer, decoded=decoded))
    return cases


write("configs.json", [dict(config=fields, resolved=resolved(fields)) for fields in CONFIGS])
write("rope.json", [rotary(fields) for fields in ROPES])
write("tensors.json", MODELS)
write("prompts.json", {name: prompts(name, *parts) for name, parts in TOKENIZERS.items()})
