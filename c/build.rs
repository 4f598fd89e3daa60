//! Gives the shared library its name, under which programs that link it find it when they start.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS");
    match system.as_deref() {
        Ok("macos") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libfoveate.dylib")
        }
        Ok("windows") => (),
        _ => println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfoveate.so"),
    }
}
