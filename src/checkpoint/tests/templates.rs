//! Templates compared with the recorded output of transformers' renderer.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::jinja::Template;

fn data(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/templates");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn render(template: &str, content: Value) -> Result<String, String> {
    let names = json!({
        "messages": [{ "role": "user", "content": content }],
        "add_generation_prompt": true,
        "tools": null,
        "documents": null,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "image_token": "<image>",
    });
    let template = Template::new(template).map_err(|error| error.to_string())?;
    let rendered = template.render(names.as_object().unwrap());
    rendered.map_err(|error| error.to_string())
}

/// The content of a question about so many pictures.
fn parts(question: &str, pictures: usize) -> Value {
    let mut parts = vec![json!({ "type": "image" }); pictures];
    parts.push(json!({ "type": "text", "text": question }));
    Value::Array(parts)
}

#[test]
fn templates_write_what_transformers_writes() {
    compared("cases.json", 1, 100);
}

#[test]
fn templates_write_two_pictures_as_transformers_does() {
    compared("several.json", 2, 20);
}

/// Compares renderings of a question about pictures with the recorded ones, more than `least`.
fn compared(name: &str, pictures: usize, least: usize) {
    let cases: Vec<Value> = serde_json::from_str(&data(name)).unwrap();
    assert!(cases.len() > least, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let template = match case["template"].as_str() {
            Some(template) => template.to_string(),
            None => data(&format!("published/{}", case["file"].as_str().unwrap())),
        };
        let question = case["question"].as_str().unwrap();
        let content = match case["text"].as_bool() {
            Some(true) => json!("<image>\n".repeat(pictures) + question),
            _ => parts(question, pictures),
        };
        let found = render(&template, content);
        match (case["expected"].as_str(), &found) {
            (Some(expected), Ok(found)) if expected == found => {}
            (None, Err(_)) => {}
            (expected, found) => wrong.push(format!(
                "{}:\n  expected {expected:?}\n  found    {found:?}",
                case["name"]
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Constructs that transformers renders and this engine does not are refused by name.
#[test]
fn what_is_not_supported_is_refused() {
    for (template, named) in [
        ("{{ '<b>' | escape }}", "escape"),
        ("{{ '<b>' | safe ~ '<i>' }}", "safe"),
        ("{{ [1, 2] | batch(1) | list }}", "batch"),
        ("{{ 'a' | urlencode }}", "urlencode"),
        ("{% block x %}{% endblock %}", "block"),
        ("{% include 'x' %}", "include"),
        ("{% for x in [1] recursive %}{% endfor %}", "recursive"),
        ("{{ 'a'.encode() }}", "str.encode"),
        ("{{ 2 ** 64 }}", "64 bits"),
        ("{{ 0x10 }}", "hexadecimal"),
        ("{{ strftime_now('%d') }}", "strftime_now"),
        ("{{ '{:>5}'.format(1) }}", ":>5"),
        ("{{ lipsum() }}", "lipsum"),
    ] {
        let error = render(template, parts("", 1)).expect_err(template);
        assert!(error.contains(named), "{template}: {error}");
    }
}

/// Templates that would end the process, or exhaust its memory or time.
#[test]
fn hostile_templates_are_errors() {
    let deep = |begin: &str, end: &str, count: usize| {
        format!("{{{{ {}1{} }}}}", begin.repeat(count), end.repeat(count))
    };
    let loops = |inside: &str, count: usize| {
        format!(
            "{{% set ns = namespace(x=[1, 2]) %}}{{% for i in range({count}) %}}\
             {inside}{{% endfor %}}{{{{ ns.x }}}}"
        )
    };
    for template in [
        format!("{{{{ messages{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ messages{} }}}}", "[0]".repeat(100_000)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " is defined".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " + 1".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " or 1".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(50_000)),
        deep("not ", "", 100_000),
        deep("-", "", 100_000),
        deep("(", ")", 100_000),
        deep("[", "]", 100_000),
        deep("{1:", "}", 100_000),
        deep("abs(", ")", 100_000),
        "{% if 1 %}".repeat(50_000),
        "{% for x in [1] %}".repeat(30_000),
        loops("{% set ns.x = [ns.x] %}", 60_000),
        loops("{% set ns.x = {'a': ns.x} %}", 60_000),
        loops("{% set ns.x = ns.x + ns.x %}", 50),
        loops("{% set ns.x = ns.x * 1000 %}", 50),
        loops("{% set ns.x = ns.x ~ ns.x %}", 50),
        loops("{% set ns.x = [ns.x, ns.x] %}", 90),
        loops("{% set ns.x = namespace(x=ns.x) %}", 60_000),
        loops("{% set ns.x = ns %}", 2),
        "{{ messages | tojson(indent=1000000000000) }}".to_string(),
        "{{ messages | tojson(indent='x' * 100000) | length }}\
         {{ [[[[[[]]]]]] | tojson(indent='x' * 50000000) }}"
            .to_string(),
        "{{ 'x' * 1000000000000 }}".to_string(),
        "{{ '%1000000000000d' % 1 }}".to_string(),
        "{{ '%.1000000000f' % 1.0 }}".to_string(),
        "{{ 'x'.center(1000000000000) }}".to_string(),
        "{{ 'x' | indent(1000000000000) }}".to_string(),
        "{{ 'x'.zfill(10000000000) }}".to_string(),
        "{% set x = 'a' * 1000000 %}{{ x.replace('a', x) | length }}".to_string(),
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}\
         {{ x.find('b') }}{% endfor %}"
            .to_string(),
        "{% for i in range(100000) %}{% for j in range(100000) %}\
         {% endfor %}{% endfor %}"
            .to_string(),
        "{% for i in range(100000) %}{{ 'long text' * 100 }}{% endfor %}".to_string(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_string(),
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}".to_string(),
        "{{ range(9223372036854775807) }}\
         {{ range(-9223372036854775807, 9223372036854775807) | list }}"
            .to_string(),
        "{{ (-9223372036854775807 - 1) // -1 }}".to_string(),
        "{{ -9223372036854775807 - 2 }}".to_string(),
        "{% for i in range(100000) if [1] * 100000 %}{% endfor %}".to_string(),
    ] {
        let started = std::time::Instant::now();
        let error = super::super::guard::guarded(200, {
            let template = template.clone();
            move || render(&template, parts("What?", 1))
        });
        let shown: String = template.chars().take(60).collect();
        let error = error.expect(&shown).expect_err(&shown);
        assert!(
            !error.contains('\n') && error.len() < 300,
            "{shown}: {error}"
        );
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds < 20.0, "{shown}: {seconds} s");
    }
}
