//! Settings, questions and pictures that are accepted or refused.

use image::RgbImage;

use super::*;

#[test]
fn settings_out_of_range_are_refused() {
    let run = Run::new();
    for (option, value) in [
        ("--steps", "0"),
        ("--mask-size", "0"),
        ("--mask-size", "4096"),
        ("--iterations", "0"),
        ("--lr", "0"),
        ("--momentum", "0"),
        ("--noise=-1", ""),
        ("--l1", "nan"),
    ] {
        let mut more = vec!["--method", "igos+", option];
        if !value.is_empty() {
            more.push(value);
        }
        let name = option.trim_start_matches('-').split('=').next().unwrap();
        run.refused(&run.explain("out", &more), 2, &[name, "expected"]);
    }
    run.refused(&run.explain("out", &["--keys", "99"]), 2, &["keys", "99"]);
    run.refused(&run.explain("out", &["--keys", "a"]), 2, &["keys"]);
    run.refused(
        &run.explain("out", &["--memory-budget", "much"]),
        2,
        &["memory-budget"],
    );
    run.refused(&run.explain("out", &["--answer", ""]), 2, &["answer"]);
    succeeded(&run.explain("out", &["--mask-size", "1"]));
    assert_eq!(run.mask("out").len(), 1);
}

#[test]
fn questions() {
    let run = Run::new();
    let (picture, _) = scene();
    run.refused(
        &run.explain_picture(&picture, " \n", "out", &[]),
        2,
        &["question"],
    );
    let long = "what ".repeat(2000);
    run.refused(
        &run.explain_picture(&picture, &long, "out", &[]),
        2,
        &["512", "tokens"],
    );
    // Special tokens in a question are text: one picture stays one picture.
    let question = "What is <image> or </s> or <s>?";
    succeeded(&run.explain_picture(
        &picture,
        question,
        "out",
        &["--answer", " A ring.", "--keys", "1"],
    ));
    assert!(
        run.record("out")["prompt"]
            .as_str()
            .unwrap()
            .contains(question)
    );
}

#[test]
fn pictures_of_every_kind() {
    let run = Run::new();
    let save = |name: &str, picture: image::DynamicImage| picture.save(run.path(name)).unwrap();
    let colours = RgbImage::from_fn(90, 60, |x, y| {
        image::Rgb([(x * 2) as u8, (y * 4) as u8, 99])
    });
    save(
        "one.png",
        RgbImage::from_pixel(1, 1, image::Rgb([200, 10, 10])).into(),
    );
    save(
        "narrow.png",
        RgbImage::from_pixel(3, 4000, image::Rgb([10, 200, 10])).into(),
    );
    save(
        "deep.png",
        image::DynamicImage::from(colours.clone()).to_rgb16().into(),
    );
    save(
        "grey.png",
        image::DynamicImage::from(colours.clone()).to_luma8().into(),
    );
    save(
        "alpha.png",
        image::DynamicImage::from(colours.clone()).to_rgba8().into(),
    );
    save("photo.jpg", colours.clone().into());
    for name in [
        "one.png",
        "narrow.png",
        "deep.png",
        "grey.png",
        "alpha.png",
        "photo.jpg",
    ] {
        let answer = ["--answer", " It is red.", "--keys", "2"];
        succeeded(&run.explain_picture(&run.path(name), "What color is it?", "out", &answer));
        let size = image::image_dimensions(run.path(name)).unwrap();
        assert_eq!(
            image::image_dimensions(run.path("out/saliency.png")).unwrap(),
            size,
            "{name}"
        );
        std::fs::remove_dir_all(run.path("out")).unwrap();
    }
    let mut bytes = std::fs::read(run.path("photo.jpg")).unwrap();
    bytes.truncate(40);
    std::fs::write(run.path("broken.jpg"), &bytes).unwrap();
    std::fs::write(run.path("text.png"), "not a picture").unwrap();
    for name in ["broken.jpg", "text.png", "absent.png"] {
        run.refused(
            &run.explain_picture(&run.path(name), "What color is it?", "out", &[]),
            2,
            &[name],
        );
    }
}
