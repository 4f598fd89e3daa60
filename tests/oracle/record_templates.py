"""Records what transformers' own renderer makes of chat templates.

    python record_templates.py           writes ../data/templates/cases.json and several.json
    python record_templates.py --check   compares with them and writes nothing

Each case is a template, a question, and what transformers writes for one message with a picture and that question, or
that it raises an error. The templates are small ones that each show one rule of jinja2 or of Python, and published ones of
well-known models, from `../data/templates/published/`; those named text-* take a text as a message's content. several.json has
what the published ones write for two pictures before the question.
Needs requirements.txt.
"""

import argparse
import json
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "templates"
QUESTION = 'Is "<b>" & it\'s 5>3 — naïve? 日本\n  second line '
PLAIN = "What color is the circle?"

# name: template. `q` is the question's text.
Q = "{% set q = messages[0]['content'][1]['text'] %}"
SMALL = {
    # text and whitespace
    "line ends": "a\r\nb\rc\r\n{% if true %}\r\nd\r\n{% endif %}\r\ne\r\n",
    "trailing newline": "a\n",
    "two trailing newlines": "a\n\n",
    "trim blocks": "a\n{% if true %}\n  b\n{% endif %}\nc",
    "lstrip blocks": "a\n   {% if true %}b{% endif %}\n   {# comment #}c\n  {{ 1 }}",
    "minus": "a \n {%- if true -%} \n b \n {%- endif -%} \n c {{- 1 -}} \n d {#- x -#} \n e",
    "plus": "a\n  {%+ if true +%}\n  b\n  {%+ endif %}\nc",
    "minus and line start": "a\n  {%- set x = 1 %}\n  {% set y = 2 %}\nb",
    "comments": "a{# {{ nothing }} {% nor this %} #}\nb{##}\nc",
    "raw": "{% raw %}{{ x }} {% if %}{% endraw %}\nend{%- raw -%}  y  {%- endraw %}",
    "raw and lines": "a\n  {% raw %}\n{{ x }}\n  {% endraw %}\nb",
    "braces in text": "{ a } % } {'x': {{ {'y': {'z': 1}}['y']['z'] }} }",
    "braces in strings": "{{ '}}' }}{{ '%}' ~ \"{{\" }}",
    "escapes": r"{{ 'a\nb\tc\\d\'e\x41\u00e9\q' }}{{ 'adjacent' ' strings' }}",
    # printing
    "constants": "{{ none }} {{ true }} {{ false }} {{ None }} {{ True }}",
    "integers": "{{ 1 }} {{ -7 }} {{ 1_000 }} {{ 0 }}",
    "floats": "{{ 1.0 }} {{ 0.1 }} {{ 1e16 }} {{ 1e15 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1.5e300 }} {{ 3.14 }} {{ -0.0 }} {{ 1e22 }}",
    "lists": "{{ [1, 'a', none, true, 1.0, [], {}] }} {{ (1,) }} {{ (1, 2) }} {{ () }} {{ {'a': 1, 'b': [2]} }}",
    "quotes": "{{ ['it\\'s', 'a \"b\"', 'both \\' and \"', 'new\\nline', 'tab\\t', '\\\\', 'é', '日本', '\\x00\\x7f'] }}",
    "views": "{{ {'a': 1}.keys() }} {{ {'a': 1}.items() }} {{ {'a': 1}.values() }} {{ range(3) }} {{ range(1, 9, 2) }}",
    "undefined": "[{{ nothing }}] [{{ messages[0].nothing }}] [{{ messages[7] }}] [{{ [nothing] }}]",
    "concatenation": "{{ none ~ true ~ 1 ~ 2.0 ~ 'a' ~ [1, 'b'] ~ nothing }}",
    "messages": "{{ messages[0]['role'] }} {{ messages | length }} {{ add_generation_prompt }} {{ tools }} {{ documents }}",
    # arithmetic
    "division": "{{ 6 / 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1 / 3 }}",
    "power": "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ 2.0 ** 0.5 }}",
    "bool arithmetic": "{{ true + 1 }} {{ true * 3 }} {{ -true }} {{ 1 == true }} {{ 1.0 == 1 }}",
    "repetition": "{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ 'a' * 0 }} {{ 'a' * -1 }}",
    "precedence": "{{ 1 + 2 * 3 - 4 }} {{ not true or true }} {{ 1 ~ 2 ~ (3 + 4) }} {{ -2 | abs }} {{ 'a' ~ 'b' == 'ab' }}",
    "comparisons": "{{ 1 < 2 < 3 }} {{ 1 < 3 > 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 != 1.5 }} {{ (1, 2) == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }}",
    "membership": "{{ 'a' in 'abc' }} {{ 1 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 1 not in (2, 3) }} {{ 'x' in nothing }} {{ 2 in range(3) }}",
    "and or": "{{ 0 or 'x' }} {{ 1 and 'y' }} {{ '' and 1 }}. {{ none or nothing or 'z' }}",
    "conditional": "{{ 'a' if true else 'b' }} {{ 'a' if false }}. {{ 1 if false else 2 if false else 3 }}",
    "error mixed addition": "{{ 'a' + 1 }}",
    "error order": "{{ 'a' < 1 }}",
    "error zero": "{{ 1 // 0 }}",
    "error undefined attribute": "{{ nothing.more }}",
    "error undefined addition": "{{ 'a' + nothing }}",
    "error membership": "{{ 1 in 'abc' }}",
    # subscripts
    "slices": "{{ 'abcdef'[1:3] }} {{ 'abcdef'[::-1] }} {{ [1, 2, 3][-2:] }} {{ 'abc'[5:] }} {{ (1, 2, 3)[:2] }} {{ 'abcdef'[4:1:-2] }} {{ messages[1:] }}",
    "indices": "{{ 'abc'[0] }} {{ 'abc'[-1] }} {{ [1, 2].0 }} {{ {'a': {'b': 1}}.a.b }} {{ {1: 'x'}[1] }} {{ range(5)[3] }}",
    "attributes and keys": "{{ {'items': 1}['items'] }} {{ {'keys': 1}.get('keys') }} {{ {'get': 5}['get'] }} {{ 'abc'['upper']() }}",
    "sandbox": "[{{ ''.__class__ }}] [{{ [].append }}] {{ [].append is defined }} {{ messages[0].__class__ is defined }}",
    "error append": "{% set x = [] %}{{ x.append(1) }}",
    "error dict update": "{{ {}.update({'a': 1}) }}",
    # statements
    "loop": "{% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }} {% endfor %}",
    "loop neighbours": "{% for x in [1, 2, 3] %}[{{ loop.previtem }}{{ x }}{{ loop.nextitem }}]{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {{ loop.depth }}{% endfor %}",
    "loop else": "{% for x in [] %}a{% else %}b{% endfor %}{% for x in nothing %}{% else %}c{% endfor %}",
    "loop filter": "{% for x in range(6) if x is even %}{{ x }}{{ loop.last }} {% endfor %}",
    "loop unpacking": "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }} {% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "loop controls": "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "loop scope": "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i + 5 %}{{ x }} {% endfor %}{{ x }}",
    "loop over dict": "{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}",
    "loop of tuple": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "if scope": "{% if true %}{% set x = 1 %}{% endif %}{{ x }}",
    "elif": "{% for x in [1, 2, 3] %}{% if x == 1 %}a{% elif x == 2 %}b{% else %}c{% endif %}{% endfor %}",
    "namespace": "{% set ns = namespace(x=0, found=false) %}{% for i in range(4) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.found }} [{{ ns.nothing }}]",
    "namespace of dict": "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}",
    "set tuple": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}",
    "set block": "{% set x %}a {{ 1 + 1 }}\nb{% endset %}[{{ x }}]{% set y | upper | trim %} abc {% endset %}[{{ y }}]",
    "filter block": "{% filter upper %}abc {{ 'd' }}{% endfilter %}",
    "with": "{% with a = 1, b = 2 %}{{ a + b }}{% set c = 3 %}{% endwith %}[{{ c }}]",
    "macro": "{% macro f(a, b='x', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, c=2) }} {{ f(b=3, a=4) }} {{ f() }}",
    "macro scope": "{% set x = 1 %}{% macro f() %}{{ x }}{% set x = 9 %}{{ y }}{% endmacro %}{{ f() }}{% set y = 7 %}{{ f() }}{{ x }}",
    "macro default": "{% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(5) }}",
    "macro recursion": "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "call block": "{% macro f(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) f(3) %}y={{ y }}{% endcall %}",
    "generation": "{% for x in [1] %}\n  {% generation %}\n  a{% set z = 1 %}\n  {% endgeneration %}\n[{{ z }}]{% endfor %}",
    "print": "{% print 1 + 1 %}{{ 1, 2 }}",
    "joiner cycler": "{% set j = joiner('|') %}{% for x in [1, 2, 3] %}{{ j() }}{{ x }}{% endfor %}{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}",
    "dict function": "{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([('a', 1)]) }}",
    "error raise": "{{ raise_exception('not like this') }}",
    "error unknown filter": "{{ 1 | nofilter }}",
    "error unknown tag": "{% nosuch %}",
    "error syntax": "{% if true %}",
    "error range": "{{ range(200000) | length }}",
    "error namespace field": "{% set x = {} %}{% set x.y = 1 %}",
    "error macro arguments": "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    # tests
    "is": "{{ 1 is number }} {{ true is number }} {{ 'a' is string }} {{ [] is sequence }} {{ {} is mapping }} {{ {} is sequence }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ nothing is defined }} {{ nothing is undefined }} {{ none is none }} {{ nothing is iterable }} {{ nothing is sequence }}",
    "is number": "{{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ 1.0 is float }} {{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ true is true }} {{ 1 is true }} {{ false is false }}",
    "is comparison": "{{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is le(2) }} {{ 'a' is in 'abc' }} {{ none is sameas none }} {{ 1 is not eq 2 }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ range is callable }}",
    # filters
    "case": "{{ 'hello wORLD' | title }} {{ 'hello wORLD' | capitalize }} {{ 'ß' | upper }} {{ 'hello-big (world)' | title }} {{ true | lower }} {{ none | upper }}",
    "trim": "[{{ '  a b\\n\\t ' | trim }}] [{{ 'xxaxx' | trim('x') }}] [{{ 1.50 | trim }}]",
    "join": "{{ [1, none, 'a', true] | join(', ') }} {{ 'abc' | join('-') }} {{ [{'a': 1}, {'a': 2}] | join('+', attribute='a') }} {{ nothing | join }}",
    "default": "{{ nothing | default('x') }} {{ none | default('x') }} {{ '' | default('x', true) }} {{ 0 | d(5, boolean=true) }} {{ nothing | default }}",
    "first last": "{{ [1, 2] | first }}{{ [1, 2] | last }}{{ 'abc' | first }}{{ 'abc' | last }}[{{ [] | first }}]{{ {'k': 1} | first }}{{ [1, 2, 3] | select('gt', 1) | first }}",
    "length": "{{ '日本' | length }} {{ [1, 2] | length }} {{ {'a': 1} | count }} {{ nothing | length }}",
    "replace": "{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 123 | replace(2, 5) }}",
    "select": "{{ [1, 2, 3, 4] | select('odd') | list }} {{ [0, 1] | select | list }} {{ [1, 2] | reject('eq', 1) | list }} {{ [{'a': 1}, {'a': 0}, {}] | selectattr('a') | list }} {{ [{'a': 1}, {'a': 2}] | selectattr('a', '==', 2) | list }} {{ [{'a': {'b': 1}}] | rejectattr('a.b', 'defined') | list }}",
    "map": "{{ ['a', 'b'] | map('upper') | join }} {{ [{'a': 1}, {}] | map(attribute='a', default=9) | list }} {{ [[1, 2]] | map('join', '-') | list }} {{ [[1, 2]] | map(attribute=0) | list }}",
    "generators once": "{% set g = [1, 2] | map('abs') %}{{ g | list }}{{ g | list }}{{ [1] | select is iterable }}{{ [1] | select is sequence }}",
    "sort": "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 3, 2] | sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}",
    "dictsort": "{{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }}",
    "items": "{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}{{ nothing | items | list }}",
    "min max sum": "{{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }} {{ [1, 2, 3] | sum }} {{ [{'a': 1}, {'a': 5}] | sum(attribute='a', start=10) }} {{ ['b', 'A'] | min }} [{{ [] | max }}]",
    "unique reverse": "{{ ['a', 'A', 'b', 'a'] | unique | list }} {{ 'abc' | reverse }} {{ [1, 2] | reverse | list }}",
    "numbers": "{{ '42' | int }} {{ ' 4_2 ' | int }} {{ '42.7' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ 'ff' | int(base=16) }} {{ '1.5' | float }} {{ 'x' | float }} {{ none | int }} {{ -3 | abs }} {{ true | int }}",
    "round": "{{ 2.5 | round }} {{ 3.5 | round }} {{ 42.55 | round(1) }} {{ 42.51 | round(1, 'floor') }} {{ 42.51 | round(1, 'ceil') }} {{ 7 | round }} {{ 2.675 | round(2) }} {{ 42.5 | round | int }}",
    "indent": "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent('>', blank=true) }}",
    "format": "{{ '%s is %d years, %.2f%% %r' | format('Bo', 7, 1.5, 'x') }} {{ '%(a)s' | format(a=1) }} {{ '%5s|%-5s|%05d|%+d|%x' % ('a', 'b', 42, 3, 255) }} {{ '%s' % none }} {{ '%s' % [1] }} {{ '%i' % 3.7 }}",
    "string list": "{{ 1.0 | string ~ 'x' }} {{ 'abc' | list }} {{ {'a': 1} | list }}",
    "truncate center": "{{ 'foo bar baz qux' | truncate(9, leeway=0) }} {{ 'foo bar baz qux' | truncate(9, true, leeway=0) }} {{ 'foo bar' | truncate(20) }} [{{ 'abc' | center(8) }}]",
    "attr": "[{{ {'a': 1} | attr('a') }}] {{ namespace(a=1) | attr('a') }}",
    "safe": "{{ '<b>' | safe }}",
    "error abs": "{{ 'a' | abs }}",
    "error join": "{{ 5 | join }}",
    "error int": "{{ nothing | int }}",
    "error length": "{{ 5 | length }}",
    # tojson
    "tojson": Q + "{{ q | tojson }}",
    "tojson of all": "{{ [1, 1.0, 1e20, none, true, 'é', '\\x00\\x7f', {'a': [], 'b': {}, '1': 2}] | tojson }}",
    "tojson indent": "{{ {'a': [1, {'b': 2}], 'c': {}, 'd': []} | tojson(indent=2) }} {{ [1] | tojson(indent='--') }} {{ [1, [2]] | tojson(indent=0) }}",
    "tojson options": "{{ {'b': 1, 'a': 'é😀'} | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}",
    "tojson keys": "{{ {1: 'a', none: 'b', true: 'c', 1.5: 'd'} | tojson }}",
    "tojson messages": "{{ messages | tojson }}",
    "error tojson undefined": "{{ nothing | tojson }}",
    # Python's methods
    "strip": "[{{ ' a '.strip() }}] [{{ 'xax'.lstrip('x') }}] [{{ 'xax'.rstrip('x') }}] [{{ '\\x1c a'.strip() }}]",
    "split": "{{ 'a b  c'.split() }} {{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a b c'.rsplit(none, 1) }} {{ 'a b  c '.split(maxsplit=1) }} {{ 'a</think>b'.split('</think>')[-1] }}",
    "splitlines": "{{ 'a\\nb\\r\\nc\\n\\nd'.splitlines() }}",
    "starts": "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.startswith('') }}",
    "find": "{{ 'héllo'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'a'.find('z') }} {{ 'hello'.index('e') }} {{ 'hello'.count('l') }} {{ 'aaa'.count('aa') }}",
    "replace method": "{{ 'aaa'.replace('a', 'b', 1) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}",
    "case methods": "{{ 'aBc dEf'.title() }} {{ \"they're\".title() }} {{ 'aBc'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'ÀB'.lower() }} {{ 'ab1'.upper() }}",
    "join method": "{{ '-'.join(['a', 'b']) }} {{ ', '.join('abc') }} {{ ''.join([]) }}.",
    "partition": "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }}",
    "adjust": "[{{ 'a'.ljust(3) }}] [{{ 'a'.rjust(3, '*') }}] [{{ 'abc'.center(8) }}] {{ '-42'.zfill(6) }} {{ '7'.zfill(3) }}",
    "is methods": "{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }}",
    "format method": "{{ '{} {}'.format(1, none) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{a} {{x}}'.format(a=true) }}",
    "dict methods": "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.items() | list }} {{ {'a': 1}.keys() | list }} {{ 'a' in {'a': 1}.keys() }}",
    "list methods": "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ (1, 2).index(2) }}",
    "error join method": "{{ ','.join([1]) }}",
    "error index": "{{ 'a'.index('z') }}",
    "error keyword": "{{ 'a'.strip(chars='a') }}",
    # the question
    "question": Q + "[{{ q }}] [{{ q | trim }}] [{{ q.strip() | upper }}] [{{ q[0] }}]",
    "question in a list": Q + "{{ [q] }}",
    "content is a string": "{% if messages[0]['content'] is string %}text{% else %}parts{% endif %}",
    "parts": "{% for part in messages[0].content %}{% if part.type == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
    "parts chosen": "{{ messages[0]['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('') }}",
    "bos": "{{ bos_token }}|{{ eos_token + 'x' }}",
}


def rendered(template, question, text=False, pictures=1):
    parts = [{"type": "image"}] * pictures + [{"type": "text", "text": question}]
    content = "<image>\n" * pictures + question if text else parts
    chat = [{"role": "user", "content": content}]
    names = {"bos_token": "<s>", "eos_token": "</s>", "image_token": "<image>"}
    try:
        texts, _ = render_jinja_template([chat], chat_template=template, add_generation_prompt=True, **names)
        return {"expected": texts[0]}
    except Exception as error:  # whatever jinja2, the sandbox or Python's own operators raise
        return {"error": type(error).__name__}


def cases():
    for name, template in SMALL.items():
        yield {"name": name, "template": template, "question": QUESTION} | rendered(template, QUESTION)
    yield from published(1)


def published(pictures):
    for file in sorted((DATA / "published").glob("*.jinja")):
        template, text = file.read_bytes().decode(), file.name.startswith("text-")
        for question in (PLAIN, QUESTION):
            case = {"name": file.name, "file": file.name, "text": text, "question": question}
            yield case | rendered(template, question, text, pictures)


def main():
    parser = argparse.ArgumentParser(description="Records what transformers makes of chat templates.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the file")
    arguments = parser.parse_args()
    for name, recorded in (("cases.json", cases()), ("several.json", published(2))):
        file, recorded = DATA / name, list(recorded)
        text = json.dumps(recorded, indent=1, ensure_ascii=True) + "\n"
        if not arguments.check:
            file.write_text(text)
        elif file.read_text() != text:
            sys.exit(f"{name} is not what transformers makes of the templates")
        for case in recorded:
            if ("error" in case) != case["name"].startswith("error"):
                print(f"{name}: {case['name']}: {case.get('error', 'no error')}")


if __name__ == "__main__":
    main()
