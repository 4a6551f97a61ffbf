//! [`HashedFile`]: a large file that is written once, front to back, and knows its content's hash.
//!
//! Written past the page cache where the file system allows it: copying into fresh pages costs a fifth of a whole export,
//! and nothing here reads the file again. Not here: what is in it.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open},
    io::Errno,
};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// What direct writes are aligned to, in memory and in the file.
const ALIGNMENT: usize = 4096;
/// Written at once.
const BLOCK: usize = 4 << 20;

/// A file under way.
pub(super) struct HashedFile {
    file: File,
    hasher: Sha256,
    /// Holds a block at an aligned address.
    memory: Vec<u8>,
    /// Where that is.
    start: usize,
    /// Bytes of the block that wait.
    n_waiting: usize,
    is_direct: bool,
}

impl HashedFile {
    /// A new file, or an old one emptied.
    ///
    /// # Errors
    /// Exit 9 with the path.
    pub(super) fn create(path: &Path) -> anyhow::Result<HashedFile> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        // Not every file system has direct writes (tmpfs of old kernels has none).
        let (opened, is_direct) = match open(path, flags | OFlags::DIRECT, mode) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => (open(path, flags, mode), false),
            opened => (opened, true),
        };
        let file = opened
            .map_err(|errno| anyhow::Error::from(Fault::resource(errno)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let memory = vec![0; BLOCK + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let is_aligned = start <= ALIGNMENT;
        Ok(HashedFile {
            file: File::from(file),
            hasher: Sha256::new(),
            start: if is_aligned { start } else { 0 },
            memory,
            n_waiting: 0,
            is_direct: is_direct && is_aligned,
        })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// Exit 9 when the disk refuses.
    pub(super) fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.write_all(bytes).map_err(Fault::resource)?)
    }

    /// Writes what waits and waits for the disk; the SHA-256 of all of it, in hexadecimal.
    ///
    /// # Errors
    /// Exit 9 when the disk refuses.
    pub(super) fn finish(mut self) -> anyhow::Result<String> {
        // The last piece is no whole block: what is aligned of it first, the rest the ordinary way.
        let aligned = self.n_waiting - self.n_waiting % ALIGNMENT;
        self.write_out(0, aligned).map_err(Fault::resource)?;
        if self.n_waiting > aligned {
            self.leave_direct().map_err(Fault::resource)?;
            self.write_out(aligned, self.n_waiting).map_err(Fault::resource)?;
        }
        self.file.sync_all().map_err(Fault::resource)?;
        Ok(self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn write_out(&mut self, from: usize, to: usize) -> io::Result<()> {
        let bytes = &self.memory[self.start + from..self.start + to];
        match self.file.write_all(bytes) {
            // Opened, and refused all the same: nothing of it was written.
            Err(error) if self.is_direct && error.raw_os_error() == Some(libc::EINVAL) => {
                self.leave_direct()?;
                self.file.write_all(&self.memory[self.start + from..self.start + to])
            }
            written => written,
        }
    }

    fn leave_direct(&mut self) -> io::Result<()> {
        if self.is_direct {
            let flags = fcntl_getfl(&self.file)?;
            fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
            self.is_direct = false;
        }
        Ok(())
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = rest.len().min(BLOCK - self.n_waiting);
            let at = self.start + self.n_waiting;
            self.memory[at..at + n].copy_from_slice(&rest[..n]);
            self.n_waiting += n;
            rest = &rest[n..];
            if self.n_waiting == BLOCK {
                self.write_out(0, BLOCK)?;
                self.n_waiting = 0;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read what was written")]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_in_the_file_whatever_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        for n in [0, 1, ALIGNMENT, ALIGNMENT + 1, BLOCK, BLOCK + ALIGNMENT, 2 * BLOCK + 4097] {
            let content: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
            let path = folder.path().join(n.to_string());
            let mut file = HashedFile::create(&path).expect("created");
            for piece in content.chunks(70_001) {
                file.put(piece).expect("put");
            }
            let sum = file.finish().expect("written");
            let written = std::fs::read(&path).expect("there");
            assert!(written == content, "{n} bytes");
            let expected: String =
                Sha256::digest(&written).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, expected, "{n} bytes");
        }
        let nowhere = folder.path().join("no/such/folder");
        let error = HashedFile::create(&nowhere).err().expect("no such folder");
        assert_eq!(crate::fault::find(&error).map(|fault| fault.exit().code()), Some(9));
    }
}
