//! Tests of how the build script finds kernels.

use std::path::Path;

use crate::scan;

fn found(text: &str) -> Vec<(String, String)> {
    scan::kernels(text)
        .into_iter()
        .map(|kernel| (kernel.name, kernel.bounds))
        .collect()
}

fn pair(name: &str, bounds: &str) -> (String, String) {
    (name.to_owned(), bounds.to_owned())
}

#[test]
fn emulated_kernels_are_found_with_their_bounds() {
    let text = "void helper(int x);\n\
        extern \"C\" emulated_kernel_marker void plain(const float* x) { call(x); }\n\
        extern \"C\" emulated_kernel_marker void emulated_bounds_marker(128) bounded(int n) {}\n\
        extern \"C\" emulated_kernel_marker emulated_bounds_marker((WARPS * 32), Tile<2>::BLOCKS) \
        void early(Arguments a) {}\n\
        emulated_kernel_marker void plain(const float* x);";
    let expected = [
        pair("plain", ""),
        pair("bounded", "128"),
        pair("early", "(WARPS * 32), Tile<2>::BLOCKS"),
    ];
    assert_eq!(found(text), expected);
}

#[test]
fn emulated_bounds_belong_to_their_own_kernel() {
    let text = "emulated_kernel_marker void one(int x); \
        emulated_kernel_marker void emulated_bounds_marker(64) two();";
    assert_eq!(found(text), [pair("one", ""), pair("two", "64")]);
    assert_eq!(found("no kernel at all"), []);
}

#[test]
fn emulated_translation_unit_registers_each_kernel() {
    let kernels = scan::kernels(
        "emulated_kernel_marker void emulated_bounds_marker(64, 2) two(); \
         emulated_kernel_marker void one();",
    );
    let unit = scan::translation_unit(Path::new("/kernels/some.cu"), &kernels);
    let expected = "#include \"/kernels/some.cu\"\n\
        EMULATED_REGISTER(two, 64, 2)\nEMULATED_REGISTER(one)\n}";
    assert!(unit.contains(expected), "{unit}");
}
