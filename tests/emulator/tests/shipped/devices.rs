//! Tests of the program's messages about a machine's GPUs.

use super::program::{Run, failed, succeeded};

fn devices(settings: &[(&str, &str)]) -> String {
    succeeded(&Run::new().foveate(&["devices"], settings))
}

/// Returns the reason why `explain --device cuda:0` is refused; `auto` then uses the processor.
fn refused(settings: &[(&str, &str)]) -> String {
    let run = Run::new();
    let picture = super::program::root().join("assets/demo/scenes/0001.png");
    let explain = |device: &str| {
        let picture = picture.to_str().unwrap();
        let arguments = [
            "explain",
            "--image",
            picture,
            "--question",
            "What color is the star?",
            "--out",
            "out",
            "--device",
            device,
            "--steps",
            "1",
            "--iterations",
            "1",
            "--mask-size",
            "2",
        ];
        run.foveate(&arguments, settings)
    };
    let said = failed(&explain("cuda:0"), 2);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!run.path("out").exists());
    succeeded(&explain("auto"));
    let record = std::fs::read_to_string(run.path("out/explanation.json")).unwrap();
    assert!(record.contains("\"device\": \"cpu\""), "{record}");
    said
}

#[test]
fn emulated_devices_are_listed() {
    let listed = devices(&[("DEVICES", "2")]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines[3].starts_with("no cuBLASLt: "), "{listed}");
    for (line, name) in lines[1..3].iter().zip(["cuda:0: ", "cuda:1: "]) {
        assert!(line.starts_with(name), "{line}");
        assert!(line.contains("compute capability 9.0"), "{line}");
        assert!(line.contains("runs everything"), "{line}");
    }
}

#[test]
fn emulated_machine_without_a_device() {
    let settings = [("DEVICES", "0")];
    assert!(devices(&settings).contains("no CUDA-capable device"));
    assert!(refused(&settings).contains("no CUDA-capable device"));
}

#[test]
fn emulated_old_driver() {
    let settings = [("DRIVER", "11040")];
    let reason = "the CUDA driver is too old: expected one for CUDA ";
    assert!(devices(&settings).contains(reason));
    assert!(refused(&settings).contains(reason));
}

#[test]
fn emulated_old_gpu() {
    let settings = [("CAPABILITY", "7.5")];
    let reason = "expected compute capability 8.0 or newer, found 7.5";
    assert!(devices(&settings).contains(reason));
    assert!(refused(&settings).contains(reason));
}

#[test]
fn emulated_number_beyond_the_devices() {
    let run = Run::new();
    let output = run.foveate(&["selftest", "--device", "cuda:1"], &[]);
    assert!(failed(&output, 2).contains("cuda:1: there is cuda:0 only"));
}
