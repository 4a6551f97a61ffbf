//! How much memory this process may still take: the tightest of what the configuration, the kernel and a service manager say.
//!
//! Not here: how much a job needs.

use std::fs;

use rustix::process::{Resource, getrlimit};

const MIB: u64 = 1 << 20;

/// A bound on memory, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCap {
    /// What may still be taken.
    pub bytes: u64,
    /// Whose bound it is, for messages.
    pub source: &'static str,
}

/// The tightest bound; `configured_mib` is 0 where the configuration has none. Nothing where no bound can be read.
pub(super) fn memory(configured_mib: u64) -> Option<MemoryCap> {
    let cap = |bytes, source| MemoryCap { bytes, source };
    let configured = (configured_mib > 0)
        .then(|| cap(configured_mib.saturating_mul(MIB), "limits.memory_mib in aifx.yaml"));
    let machine = read("/proc/meminfo")
        .and_then(|text| kib_after(&text, "MemAvailable:"))
        .map(|bytes| cap(bytes, "the memory that this machine has free"));
    let group = read("/proc/self/cgroup")
        .and_then(|text| cgroup(&text, &|path| read(&format!("/sys/fs/cgroup{path}"))))
        .map(|bytes| cap(bytes, "the memory limit of the control group"));
    let process = getrlimit(Resource::As).current.map(|limit| {
        let taken = read("/proc/self/status").and_then(|text| kib_after(&text, "VmSize:"));
        cap(
            limit.saturating_sub(taken.unwrap_or_default()),
            "the address space that `ulimit -v` allows",
        )
    });
    [configured, machine, group, process].into_iter().flatten().min_by_key(|cap| cap.bytes)
}

#[allow(clippy::disallowed_methods, reason = "files of the kernel are small")]
fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `MemAvailable:   123 kB`, in bytes.
fn kib_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What is left under the tightest `memory.max` of the process's group and those around it (cgroup v2; pages of files can
/// be dropped and do not count).
fn cgroup(own: &str, file: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let mut path =
        own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/').to_owned();
    let mut least = None;
    loop {
        let max =
            file(&format!("{path}/memory.max")).and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(max) = max {
            let taken = file(&format!("{path}/memory.stat"))
                .and_then(|text| {
                    let line = text.lines().find_map(|line| line.strip_prefix("anon "))?;
                    line.trim().parse::<u64>().ok()
                })
                .unwrap_or_default();
            let left = max.saturating_sub(taken);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        match path.rfind('/') {
            Some(at) => path.truncate(at),
            None => return least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_above_counts_without_its_file_pages() {
        let files = |path: &str| -> Option<String> {
            let text = match path {
                "/user/job/memory.max" => "max\n",
                "/user/memory.max" => "1000\n",
                "/user/memory.stat" => "file 700\nanon 300\n",
                "/memory.max" => "5000\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(cgroup("0::/user/job\n", &files), Some(700));
        assert_eq!(cgroup("0::/\n", &files), Some(5000));
        assert_eq!(cgroup("5:memory:/old\n", &files), None, "version 1 is not read");
        assert_eq!(cgroup("0::/x\n", &|_| None), None);
    }

    #[test]
    fn what_is_configured_wins_where_it_is_less() {
        let cap = memory(1).expect("a bound");
        assert_eq!((cap.bytes, cap.source), (MIB, "limits.memory_mib in aifx.yaml"));
        assert_ne!(memory(0).map(|cap| cap.source), Some("limits.memory_mib in aifx.yaml"));
        assert_eq!(kib_after("A: 1 kB\nMemAvailable:  2 kB\n", "MemAvailable:"), Some(2048));
    }
}
