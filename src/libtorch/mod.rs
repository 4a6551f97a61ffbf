//! LibTorch is loaded when it is first needed: it costs 0.2 s and 100 MiB, which `status`, `export` or `outcomes` shall
//! not pay, and a machine without it can still be told what is missing.
//!
//! `tch` calls LibTorch through a flat C interface. `build.rs` makes a library of its own of that interface (it needs
//! LibTorch) and links one jump for each of its functions into this binary instead; the first jump opens the library.
//! [`load`] does the same early and with a proper error. On processors other than x86-64 LibTorch is linked as usual.
//! Not here: anything that computes (`nn`, `inference`, `train`).

/// Why LibTorch cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("LibTorch cannot be loaded: {0}")]
pub struct LoadError(String);

/// Loads LibTorch, once.
///
/// # Errors
/// [`LoadError`] with the loader's own words.
pub fn load() -> Result<(), LoadError> {
    lazy::load()
}

#[cfg(aifx_lazy_libtorch)]
#[allow(unsafe_code, reason = "the dynamic loader's functions have no safe binding")]
mod lazy {
    use std::{
        ffi::{CStr, CString, c_char, c_void},
        os::unix::ffi::OsStrExt,
        path::PathBuf,
        sync::OnceLock,
    };

    use super::LoadError;

    unsafe extern "C" {
        /// How many functions the interface has.
        static aifx_libtorch_count: usize;
        /// Their names.
        static aifx_libtorch_names: [*const c_char; 0];
        /// Where each jump goes; the resolver at first.
        static mut aifx_libtorch_targets: [*const c_void; 0];
    }

    pub(super) fn load() -> Result<(), LoadError> {
        static LOADED: OnceLock<Result<(), LoadError>> = OnceLock::new();
        LOADED.get_or_init(open).clone()
    }

    /// Beside the executable (an installed copy), beside a test's (`deps/`), or where it was built.
    fn places() -> Vec<PathBuf> {
        let name = "libaifx_torch.so";
        let exe = std::env::current_exe().ok();
        let folders = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(2));
        folders
            .map(|folder| folder.join(name))
            .filter(|path| path.is_file())
            .chain([PathBuf::from(env!("AIFX_LIBTORCH_INTERFACE"))])
            .collect()
    }

    fn open() -> Result<(), LoadError> {
        let mut said = String::new();
        for path in places() {
            let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { continue };
            // Lazily: binding all of LibTorch's own calls at once takes time, and its streams call back into functions of
            // `tch` that an executable does not export; nothing here reads a model through a stream.
            // SAFETY: the name is a C string; the library's initialisers are LibTorch's own.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
            if !handle.is_null() {
                return resolve_all(handle);
            }
            said = last_error();
        }
        Err(LoadError(said))
    }

    fn resolve_all(handle: *mut c_void) -> Result<(), LoadError> {
        // SAFETY: both tables have `aifx_libtorch_count` entries (the same script wrote all three), and this runs once,
        // before any jump goes anywhere but here.
        unsafe {
            let names = (&raw const aifx_libtorch_names).cast::<*const c_char>();
            let targets = (&raw mut aifx_libtorch_targets).cast::<*const c_void>();
            for index in 0..aifx_libtorch_count {
                let target = libc::dlsym(handle, *names.add(index));
                if target.is_null() {
                    return Err(LoadError(last_error()));
                }
                *targets.add(index) = target;
            }
        }
        Ok(())
    }

    fn last_error() -> String {
        // SAFETY: dlerror returns a C string of this thread, or null.
        unsafe {
            let text = libc::dlerror();
            if text.is_null() {
                "the dynamic loader does not say why".to_owned()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }

    /// Called by the first jump of a process that did not call [`load`]: returns where function `index` is.
    #[unsafe(no_mangle)]
    extern "C" fn aifx_libtorch_resolve(index: usize) -> *const c_void {
        match load() {
            // SAFETY: the tables were filled, and `index` comes from the jump itself.
            Ok(()) => unsafe {
                *(&raw const aifx_libtorch_targets).cast::<*const c_void>().add(index)
            },
            Err(error) => {
                use std::io::Write;
                let _ = writeln!(
                    std::io::stderr(),
                    "error: {error}\n  hint: run scripts/setup.sh, then build again"
                );
                std::process::exit(3)
            }
        }
    }
}

#[cfg(not(aifx_lazy_libtorch))]
mod lazy {
    #[allow(clippy::unnecessary_wraps, reason = "linked LibTorch was loaded before main")]
    pub(super) fn load() -> Result<(), super::LoadError> {
        Ok(())
    }
}
