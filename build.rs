//! Writes LibTorch's place into the binaries as an rpath, so that they start under cron's empty environment.

#[allow(clippy::disallowed_methods, reason = "a build script is told things by the environment")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
        // A checkout that was moved or copied still finds the libraries beside it.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../../third_party/libtorch/lib");
    }
}
