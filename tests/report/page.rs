//! Tests of the page in a browser, opened from disk.

use std::time::Duration;

use foveate::run::Record;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::made_up::{MadeUp, NASTY, SIZE};

const LISTED: &str = "Array.from(document.querySelectorAll('.card'), (card) => \
                      Number(card.id.slice('sample'.length)))";

fn listed(browser: &mut Browser) -> Vec<usize> {
    serde_json::from_value(browser.value(LISTED)).unwrap()
}

fn those(records: &[Record], wanted: impl Fn(&Record) -> bool) -> Vec<usize> {
    records
        .iter()
        .filter(|r| wanted(r))
        .map(|r| r.index)
        .collect()
}

fn score(record: &Record) -> Option<f64> {
    record
        .explanation
        .as_ref()?
        .curves
        .as_ref()?
        .insertion_score
}

#[test]
fn samples_are_filtered_and_sorted() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::new(120, 120);
    browser.open(&made.page(), "");
    let all = &made.records;
    let everything = those(all, |_| true);
    assert_eq!(listed(&mut browser), everything);

    let judged =
        |wanted: Option<bool>| those(all, |r| r.judgement.as_ref().map(|j| j.correct) == wanted);
    let dependent = |wanted: bool| {
        those(all, |r| {
            r.explanation
                .as_ref()
                .is_some_and(|e| e.image_dependent == wanted)
        })
    };
    let failed = |name: &str| {
        those(all, |r| {
            r.error
                .as_ref()
                .is_some_and(|e| e.cause.to_string() == name)
        })
    };
    for (field, value, expected) in [
        ("answer", "right", judged(Some(true))),
        ("answer", "wrong", judged(Some(false))),
        ("answer", "open", judged(None)),
        ("picture", "needed", dependent(true)),
        ("picture", "spare", dependent(false)),
        ("failure", "any", those(all, |r| r.error.is_some())),
        ("failure", "none", those(all, |r| r.error.is_none())),
        ("failure", "cause memory", failed("memory")),
        (
            "kind",
            "place",
            those(all, |r| r.category.as_deref() == Some("place")),
        ),
        (
            "search",
            "NUMBER 11",
            those(all, |r| r.question.contains("number 11")),
        ),
    ] {
        assert!(
            !expected.is_empty() && expected.len() < 120,
            "{field} {value}"
        );
        browser.set(field, value);
        assert_eq!(listed(&mut browser), expected, "{field} {value}");
        let count = browser.value("document.getElementById('count').textContent");
        assert_eq!(count, format!("{} of 120", expected.len()));
        let shown = browser.value(
            "histograms.map((h) => h.count(listed.map((c) => entries[c.place]))\
             .reduce((a, b) => a + b))",
        );
        let shown: Vec<usize> = serde_json::from_value(shown).unwrap();
        assert_eq!(
            shown[1],
            all.iter()
                .filter(|r| expected.contains(&r.index) && score(r).is_some())
                .count()
        );
        browser.press("Escape");
        assert_eq!(listed(&mut browser), everything, "after {field} {value}");
    }
    // Filters are combined.
    browser.set("answer", "wrong");
    browser.set("kind", "count");
    let wrong = judged(Some(false));
    assert_eq!(
        listed(&mut browser),
        those(all, |r| r.category.as_deref() == Some("count")
            && wrong.contains(&r.index))
    );
    browser.press("Escape");

    let range = "document.querySelectorAll('.plot')[1].querySelectorAll('input')";
    browser.value(&format!(
        "{range}[0].value = '0.5'; \
         {range}[0].dispatchEvent(new Event('input', {{ bubbles: true }}))"
    ));
    assert_eq!(
        listed(&mut browser),
        those(all, |r| score(r).is_some_and(|s| (s * 1e4).round() >= 5e3))
    );
    browser.press("Escape");

    for (order, sign) in [("insertion-down", -1.0), ("insertion-up", 1.0)] {
        browser.set("order", order);
        let mut expected: Vec<&Record> = all.iter().collect();
        let key = |r: &Record| score(r).map_or(f64::INFINITY, |s| sign * (s * 1e4).round() / 1e4);
        expected.sort_by(|a, b| key(a).total_cmp(&key(b)));
        assert_eq!(
            listed(&mut browser),
            expected.iter().map(|r| r.index).collect::<Vec<_>>(),
            "{order}"
        );
    }
    browser.set("search", "no sample says this");
    assert_eq!(
        browser.value("document.getElementById('nothing').checkVisibility()"),
        true
    );
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn keys_move_and_help() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::new(30, 30);
    browser.open(&made.page(), "");
    let current = "document.querySelector('.card[aria-current=true]')?.id ?? ''";
    let near = "(() => { const top = document.querySelector('.card[aria-current=true]')\
                  .getBoundingClientRect().top;
                  return top >= document.getElementById('bar').offsetHeight && top < 200; })()";
    for (key, expected) in [
        ("j", "sample0"),
        ("k", "sample0"),
        ("j", "sample1"),
        ("ArrowRight", "sample2"),
        ("ArrowRight", "sample3"),
        ("ArrowLeft", "sample2"),
        ("k", "sample1"),
    ] {
        browser.press(key);
        assert_eq!(browser.value(current), expected, "{key}");
        browser.until(near);
        assert_eq!(browser.value("location.hash"), format!("#{expected}"));
        assert_eq!(browser.value("document.activeElement.id"), expected);
    }
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "search");
    // Letters now go to the field.
    for key in ["j", "?", "b"] {
        browser.press(key);
    }
    assert_eq!(
        browser.value(
            "[document.getElementById('search').value, document.getElementById('keys').open]"
        ),
        json!(["j?b", false])
    );
    browser.press("Escape");
    assert_eq!(listed(&mut browser).len(), 30);
    assert_eq!(browser.value("document.activeElement.tagName"), "BODY");
    browser.press("?");
    assert_eq!(browser.value("document.getElementById('keys').open"), true);
    browser.press("j");
    assert_eq!(browser.value(current), "");
    browser.press("Escape");
    assert_eq!(browser.value("document.getElementById('keys').open"), false);
    browser.press("b");
    assert_eq!(
        browser.value("getComputedStyle(document.querySelector('.frame svg')).display"),
        "none"
    );

    // A URL with a sample leads there, in an open page and in a new one.
    browser.set("answer", "wrong");
    browser.open(&made.path("run/report.html"), "#sample20");
    browser.until("document.querySelector('.card[aria-current=true]')?.id === 'sample20'");
    browser.until(near);
    assert_eq!(listed(&mut browser).len(), 30);
    browser.call("Page.navigate", json!({ "url": "about:blank" }));
    browser.open(&made.path("run/report.html"), "#sample21");
    assert_eq!(browser.value(current), "sample21");
    browser.until(near);
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn texts_are_shown_not_run() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::new(6, 6);
    browser.open(&made.page(), "");
    browser.value("goTo(cards[1])");
    let shown = browser
        .value("[...document.querySelectorAll('#sample1 .text p')].map((p) => p.textContent)");
    assert_eq!(shown[0], NASTY);
    assert_eq!(
        browser.value("document.querySelector('#sample1 .kind').textContent"),
        NASTY
    );
    assert_eq!(browser.value("document.title"), "made-up on made-up.jsonl");
    assert_eq!(
        browser.value("document.querySelectorAll('img, b img, script:not([type])').length"),
        1
    );
    browser.set("search", NASTY);
    assert_eq!(listed(&mut browser), [1]);
    browser.press("Escape");
    // The words add up to the answer, and the key ones are strong. Cards are drawn while they are
    // near the window.
    browser.value("goTo(cards[0])");
    browser.until("document.querySelectorAll('#sample0 .answer > *').length > 0");
    let words = "[...document.querySelectorAll('#sample0 .answer > *')].map((w) => \
                 [w.localName, w.textContent])";
    let words: Vec<(String, String)> = serde_json::from_value(browser.value(words)).unwrap();
    let key: Vec<&str> = words
        .iter()
        .filter(|(name, _)| name == "strong")
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(key, ["five", "table"]);
    assert_eq!(
        browser.value("document.querySelector('#sample0 .answer').textContent"),
        "There are five objects on the table."
    );
    assert_eq!(browser.complaints, [""; 0]);
}

/// Compares the slider's three states (picture, both, map) with the pictures that `explain` draws.
#[test]
fn the_slider_goes_from_the_picture_to_the_map() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let colour = [200, 60, 30];
    let (width, height) = (480, 360);
    let made = MadeUp::of_one(colour, width, height);
    assert!(
        made.report(&["run", "--data", "data.jsonl"])
            .status
            .success()
    );
    browser.open(&made.path("run/report.html"), "");
    browser.until(
        "document.querySelector('canvas').width === 320 && \
         document.querySelector('canvas').height === 240",
    );
    let corners = "(() => { const canvas = document.querySelector('canvas'); const read = (x, y) =>
        [...canvas.getContext('2d').getImageData(x, y, 1, 1).data.slice(0, 3)];
        return [read(0, 0), read(319, 0), read(0, 239), read(319, 239)]; })()";
    let seen = |browser: &mut Browser, place: &str| -> Vec<[u8; 3]> {
        browser.set_range(place);
        serde_json::from_value(browser.value(corners)).unwrap()
    };
    let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(&a, b)| a.abs_diff(b) <= 4);
    let picture = seen(&mut browser, "0");
    assert!(picture.iter().all(|&c| near(c, colour)), "{picture:?}");
    let map = seen(&mut browser, "100");
    // The ends of matplotlib's "inferno".
    let (high, low) = ([252, 255, 164], [0, 0, 4]);
    assert!(
        near(map[0], high) && map[1..].iter().all(|&c| near(c, low)),
        "{map:?}"
    );
    let both = seen(&mut browser, "50");
    let saliency: Vec<f32> = (0..SIZE * SIZE)
        .map(|c| f32::from(u8::from(c / SIZE < SIZE / 2 && c % SIZE < SIZE / 2)))
        .collect();
    let rgb = colour.repeat((width * height) as usize);
    let drawn = foveate::report::overlay(&rgb, width, height, &saliency, SIZE, None).unwrap();
    for (corner, (x, y)) in both.iter().zip([
        (0, 0),
        (width - 1, 0),
        (0, height - 1),
        (width - 1, height - 1),
    ]) {
        let expected = drawn.get_pixel(x, y).0;
        assert!(near(*corner, expected), "{corner:?} {expected:?}");
    }
    let slider = "document.querySelector('input[type=range]')";
    assert_eq!(
        browser.value(&format!("{slider}.getAttribute('aria-valuetext')")),
        "50 % towards the map"
    );
    browser.press("1");
    assert_eq!(
        browser.value(&format!(
            "[{slider}.value, {slider}.getAttribute('aria-valuetext')]"
        )),
        json!(["0", "picture"])
    );
    // Arrow keys move the slider while it has the focus.
    browser.value(&format!("{slider}.focus()"));
    browser.press("ArrowRight");
    assert_eq!(browser.value("document.activeElement.type"), "range");
    assert_eq!(browser.complaints, [""; 0]);
}

/// A word with a map of its own shows it, by mouse and by keys, and shows the answer's again.
#[test]
fn words_show_their_own_maps() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::of_one([200, 60, 30], 480, 360);
    assert!(
        made.report(&["run", "--data", "data.jsonl"])
            .status
            .success()
    );
    browser.open(&made.path("run/report.html"), "");
    browser.until("document.querySelector('canvas').width === 320");
    browser.set_range("100");
    // The bright corner of the map, and what the page says of it.
    let state = "(() => { const canvas = document.querySelector('canvas');
        const green = (x, y) => canvas.getContext('2d').getImageData(x, y, 1, 1).data[1];
        const corners = { whole: green(0, 0), five: green(319, 0), table: green(0, 239) };
        const bright = Object.keys(corners).filter((name) => corners[name] > 200);
        const pressed = document.querySelectorAll('.answer [aria-pressed=true]');
        return [bright.join(), [...pressed].map((word) => word.textContent).join(),
            document.querySelector('figure [aria-live]').textContent]; })()";
    let whole = json!(["whole", "", "Map of the whole answer"]);
    let five = json!(["five", "five", "Map of \u{201c}five\u{201d} alone"]);
    let table = json!(["table", "table", "Map of \u{201c}table\u{201d} alone"]);
    assert_eq!(browser.value(state), whole);
    let words = "[...document.querySelectorAll('.answer [role=button]')]";
    let names =
        format!("{words}.map((word) => [word.textContent, word.getAttribute('aria-label')])");
    let expected = json!([["five", "Map of five"], ["table", "Map of table"]]);
    assert_eq!(browser.value(&names), expected);
    for (word, expected) in [(0, &five), (1, &table), (1, &whole)] {
        browser.value(&format!("{words}[{word}].click()"));
        assert_eq!(&browser.value(state), expected);
    }
    browser.value(&format!("{words}[1].focus()"));
    for (key, expected) in [
        ("Enter", &table),
        (" ", &whole),
        ("w", &five),
        ("w", &table),
        ("w", &whole),
    ] {
        browser.press(key);
        assert_eq!(&browser.value(state), expected, "{key}");
    }
    assert_eq!(browser.complaints, [""; 0]);
}

/// Every focusable element has a name, and all text contrasts with its background, in light and
/// dark colours.
#[test]
fn names_and_contrasts() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::new(24, 24);
    browser.open(&made.page(), "");
    browser.call("Accessibility.enable", json!({}));
    browser.value("document.querySelectorAll('summary').forEach((s) => s.click()); scrollTo(0, 0)");
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let mut named = 0;
    for node in tree["nodes"].as_array().unwrap() {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if [
            "button",
            "slider",
            "searchbox",
            "combobox",
            "spinbutton",
            "image",
            "article",
            "feed",
        ]
        .contains(&role)
        {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty() || node["ignored"] == true, "{node}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
    for scheme in ["light", "dark"] {
        browser.colours(scheme);
        let poor = browser.value(CONTRASTS);
        assert_eq!(poor, json!([]), "{scheme}");
    }
    // No element is wider than a narrow screen.
    browser.size(360, 740);
    let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(browser.value(wide), false);
    assert_eq!(browser.complaints, [""; 0]);
}

/// Texts whose contrast is below 4.5 (WCAG 2.2, AA), each with its colours.
const CONTRASTS: &str = "(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const over = (ground, colour) => {
        canvas.fillStyle = `rgb(${ground.join(' ')})`; canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const ground = (element) => element \
        ? over(ground(element.parentElement), getComputedStyle(element).backgroundColor) \
        : [255, 255, 255];
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255)\
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const poor = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility() || \
            element.closest('script, style, .hidden, noscript')) continue;
        const under = ground(element);
        const style = getComputedStyle(element);
        const ink = over(under, element.closest('svg') ? style.fill : style.color);
        const [a, b] = [luminance(under), luminance(ink)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) \
            poor.push([walk.currentNode.data.trim().slice(0, 30), contrast, under, ink]);
    }
    return poor;
})()";

#[test]
fn two_thousand_samples_open_quickly() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let made = MadeUp::new(2000, 2000);
    let page = made.page();
    let megabytes = page.metadata().unwrap().len() as f64 / 1e6;
    let opened = browser.open(&page, "");
    println!("{megabytes:.1} MB, opened in {opened:?}");
    assert!(megabytes < 100.0, "{megabytes} MB");
    // A generous bound for a machine that is also busy with other work.
    assert!(opened < Duration::from_secs(20), "{opened:?}");
    assert_eq!(listed(&mut browser).len(), 2000);
    let filled = "document.querySelectorAll('.card canvas').length";
    browser.until("document.querySelectorAll('.card canvas').length > 0");
    assert!(browser.value(filled).as_u64().unwrap() < 20);
    let time = "(() => { const start = performance.now(); document.getElementById('search').value \
                = '7'; update(); return performance.now() - start; })()";
    let milliseconds = browser.value(time).as_f64().unwrap();
    println!("filtered in {milliseconds} ms");
    assert!(milliseconds < 3000.0, "{milliseconds}");
    browser.press("Escape");
    // Far down and back: cards away from the screen are emptied again.
    browser.value("goTo(cards[1990])");
    browser.until(
        "document.querySelector('#sample1990 canvas')?.width > 0 && \
         !document.querySelector('#sample0').firstChild",
    );
    assert!(browser.value(filled).as_u64().unwrap() < 20);
    let shown: Value = browser.value("view.shown.size");
    assert!(shown.as_u64().unwrap() < 20, "{shown}");
    assert_eq!(browser.complaints, [""; 0]);
}
