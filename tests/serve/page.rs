//! The page in a browser.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server::Server;
use crate::support::{Folder, scenes};

/// Puts the picture's file into the field of the page, as choosing it does.
fn choose(browser: &mut Browser, path: &str) {
    let document = browser.call("DOM.getDocument", json!({}));
    let root = &document["root"]["nodeId"];
    let field = browser.call(
        "DOM.querySelector",
        json!({ "nodeId": root, "selector": "#file" }),
    );
    let files = json!({ "nodeId": field["nodeId"], "files": [path] });
    browser.call("DOM.setFileInputFiles", files);
}

fn texts(browser: &mut Browser, selector: &str) -> Vec<String> {
    let selector = json!(selector);
    let found = browser.value(&format!(
        "Array.from(document.querySelectorAll({selector}), (one) => one.textContent)"
    ));
    serde_json::from_value(found).unwrap()
}

const DONE: &str = "panels.length > 0 && panels.every((panel) => !panel.busy && panel.shown)";

#[test]
fn a_question_is_asked_and_its_words_are_looked_into() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = Folder::new();
    let server = Server::start(&folder, &["--output", "saved"]);
    let opened = browser.visit(&server.address, &server.address);
    assert!(opened < Duration::from_secs(30), "{opened:?}");
    let scene = &scenes()[0];

    // Without a picture there is a message.
    browser.value("byId('go').click()");
    browser.until("byId('trouble').textContent.includes('picture')");
    folder.write("bad.png", "no picture");
    let complaints = std::mem::take(&mut browser.complaints);
    assert_eq!(complaints, Vec::<String>::new());
    choose(&mut browser, &folder.path("bad.png").display().to_string());
    browser.until("byId('trouble').textContent.startsWith('bad.png: picture')");
    // The browser itself notes the refused request.
    let complaints = std::mem::take(&mut browser.complaints);
    assert!(
        complaints.iter().all(|text| text.contains("422")),
        "{complaints:?}"
    );

    choose(&mut browser, &scene.path());
    browser.until("picture !== null && byId('trouble').textContent === ''");
    browser.set("question", &scene.question);
    browser.value("byId('question').focus()");
    browser.press("Enter");
    browser.until(DONE);
    assert_eq!(texts(&mut browser, ".answer").concat().trim(), scene.answer);
    let keys = texts(&mut browser, "strong.word");
    assert!(keys.concat().contains(&scene.word), "{keys:?}");
    assert_eq!(
        browser.value("document.querySelectorAll('.curves path').length"),
        json!(4)
    );
    let whole = browser.value("panels[0].shown.detail.map");

    // The slider's ends are the picture and the map.
    let drawn = "panels[0].overlay.context.getImageData(0, 0, 9, 9).data.join()";
    browser.value("document.activeElement.blur()");
    browser.press("1");
    let picture = browser.value(drawn);
    browser.press("3");
    assert_ne!(browser.value(drawn), picture);

    // A word, and none.
    let before = browser.value("panels[0].found.size");
    browser.value("document.querySelector('span.word[role=button]').click()");
    browser.until(&format!(
        "panels[0].found.size > {before} && !panels[0].busy"
    ));
    let note = texts(&mut browser, "figure .below").concat();
    assert!(note.contains("alone"), "{note}");
    let tokens: Value = browser.value("JSON.parse(`[${[...panels[0].found.keys()].pop()}]`)");
    let word = browser.value("panels[0].words[[...panels[0].selected][0]].tokens");
    assert_eq!(tokens, word);
    browser.press("Escape");
    browser.until("!panels[0].selected.size && panels[0].shown === panels[0].found.get('null')");
    assert_eq!(browser.value("panels[0].shown.detail.map"), whole);

    // Saving.
    browser.press("s");
    browser.until("document.querySelector('.saving').textContent.includes('saved in')");
    assert!(folder.path("saved/0001/explanation.json").exists());

    // Two settings under one slider.
    browser.press("c");
    browser.value("settings[1].fields.get('quality').value = 'draft'");
    browser.value("byId('go').click()");
    browser.until(&format!("panels.length === 2 && {DONE}"));
    let evaluations = browser.value("panels.map((panel) => panel.shown.detail.evaluations)");
    assert!(
        evaluations[0].as_u64() > evaluations[1].as_u64(),
        "{evaluations}"
    );
    assert_eq!(
        browser.value("document.querySelectorAll('input[type=range]').length"),
        json!(1)
    );
    browser.set_range("0");
    let positions = browser.value("panels.map((panel) => panel.overlay.position)");
    assert_eq!(positions, json!([0, 0]));

    // Cancelling.
    browser.value("settings[0].fields.get('method').value = 'igos+'");
    browser.value("settings[0].fields.get('iterations').value = '10000'");
    browser.press("c");
    browser.value("byId('go').click()");
    browser.until("panels.length === 1 && panels[0].overlay.map !== null");
    assert_eq!(browser.value("byId('cancel').hidden"), json!(false));
    browser.value("document.activeElement.blur()");
    browser.press("Escape");
    browser.until("!panels[0].busy && byId('cancel').hidden");
    assert_eq!(browser.complaints, Vec::<String>::new());
}
