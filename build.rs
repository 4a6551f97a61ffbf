//! Keeps LibTorch out of the binaries until it is needed (`src/libtorch`).
//!
//! torch-sys has compiled its C interface to LibTorch into an archive. On x86-64 Linux this script links that archive
//! into a shared library, and writes an object with one jump for each of its functions; the linker finds the functions
//! there first, so that nothing asks for LibTorch itself. Elsewhere LibTorch's place becomes an rpath.

#![allow(clippy::disallowed_methods, reason = "a build script is told things by the environment")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rustc-check-cfg=cfg(aifx_lazy_libtorch)");
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    let target = env::var("TARGET").unwrap_or_default();
    if target != "x86_64-unknown-linux-gnu" {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
        // A checkout that was moved or copied still finds the libraries beside it.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../../third_party/libtorch/lib");
        return;
    }
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let archive = interface_archive(&out);
    println!("cargo:rerun-if-changed={}", archive.display());
    let library = out.join("libaifx_torch.so");
    link_interface(&archive, &lib, &library);
    write_jumps(&functions(&archive), &out.join("libtorch_jumps.s"));
    cc::Build::new().file(out.join("libtorch_jumps.s")).compile("aifx_libtorch_jumps");
    println!("cargo:rustc-cfg=aifx_lazy_libtorch");
    println!("cargo:rustc-env=AIFX_LIBTORCH_INTERFACE={}", library.display());
}

/// The newest archive of torch-sys in this build folder: cargo runs its script before this one.
fn interface_archive(out: &Path) -> PathBuf {
    let builds = out.ancestors().nth(2).expect("OUT_DIR is build/NAME/out");
    let newest = fs::read_dir(builds)
        .expect("the build folder is readable")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let archive = path.join("out/libtch.a");
            let written = fs::metadata(&archive).and_then(|meta| meta.modified()).ok()?;
            name.starts_with("torch-sys-").then_some((written, archive))
        })
        .max();
    newest.expect("torch-sys was built").1
}

fn run(command: &mut Command) -> Vec<u8> {
    let output =
        command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}");
    output.stdout
}

fn link_interface(archive: &Path, lib: &str, library: &Path) {
    run(cc::Build::new().cpp(true).get_compiler().to_command()
        .arg("-shared")
        .arg("-o")
        .arg(library)
        .arg("-Wl,--whole-archive")
        .arg(archive)
        .arg("-Wl,--no-whole-archive")
        .arg(format!("-L{lib}"))
        .args(["-ltorch", "-ltorch_cpu", "-lc10", "-Wl,--allow-shlib-undefined"])
        .arg(format!("-Wl,-rpath,{lib}"))
        // A checkout that was moved or copied still finds the libraries: beside it, or beside an installed copy.
        .arg("-Wl,-rpath,$ORIGIN/../../../../../third_party/libtorch/lib:$ORIGIN/libtorch/lib:$ORIGIN"));
}

/// The C functions of the archive: names that C++ has not mangled.
fn functions(archive: &Path) -> Vec<String> {
    let symbols = run(Command::new("nm").args(["-g", "--defined-only", "-P"]).arg(archive));
    let symbols = String::from_utf8_lossy(&symbols);
    let mut names: Vec<String> = symbols
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, kind) = (words.next()?, words.next()?);
            (kind == "T" && !name.starts_with("_Z")).then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 1000, "the archive of torch-sys has {} functions", names.len());
    names
}

/// Each function is a jump through a table whose entries first lead to the resolver, which keeps the arguments (System V
/// calling convention: six words, eight vectors, the rest on the stack) while LibTorch is loaded.
fn write_jumps(names: &[String], path: &Path) {
    use std::fmt::Write;
    let mut text = String::from(
        ".text\nlibtorch_first:\n push %rdi\n push %rsi\n push %rdx\n push %rcx\n push %r8\n push %r9\n push %rax\n \
         sub $136, %rsp\n",
    );
    let mut line = |line: std::fmt::Arguments| writeln!(text, "{line}").expect("a string takes it");
    for i in 0..8 {
        line(format_args!(" movups %xmm{i}, {}(%rsp)", 16 * i));
    }
    line(format_args!(" mov 192(%rsp), %rdi\n call aifx_libtorch_resolve\n mov %rax, %r11"));
    for i in 0..8 {
        line(format_args!(" movups {}(%rsp), %xmm{i}", 16 * i));
    }
    line(format_args!(
        " add $136, %rsp\n pop %rax\n pop %r9\n pop %r8\n pop %rcx\n pop %rdx\n pop %rsi\n pop %rdi\n add $8, %rsp\n \
         jmp *%r11"
    ));
    for (i, name) in names.iter().enumerate() {
        line(format_args!(
            ".globl {name}\n.type {name}, @function\n{name}:\n jmp *aifx_libtorch_targets+{}(%rip)\n.Lfirst{i}:\n push ${i}\n jmp libtorch_first",
            8 * i
        ));
    }
    line(format_args!(".section .rodata"));
    for (i, name) in names.iter().enumerate() {
        line(format_args!(".Lname{i}: .asciz \"{name}\""));
    }
    line(format_args!(
        ".balign 8\n.globl aifx_libtorch_count\naifx_libtorch_count: .quad {}\n\
         .section .data.rel.ro,\"aw\"\n.balign 8\n.globl aifx_libtorch_names\naifx_libtorch_names:",
        names.len()
    ));
    for i in 0..names.len() {
        line(format_args!(" .quad .Lname{i}"));
    }
    line(format_args!(".data\n.balign 8\n.globl aifx_libtorch_targets\naifx_libtorch_targets:"));
    for i in 0..names.len() {
        line(format_args!(" .quad .Lfirst{i}"));
    }
    line(format_args!(".section .note.GNU-stack,\"\",@progbits"));
    fs::write(path, text).expect("the build folder is writable");
}
