//! [`LineDir`]: the directory of one line, and the only code that writes below `models/`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags},
    io::{Errno, retry_on_intr},
};
use uuid::Uuid;

use super::{
    MAX_FILE_BYTES, MEMBERS, METADATA, Metadata, Problem, SUMS, VersionFiles, is_path, sha256_hex,
};
use crate::{
    fault::Fault,
    lineage::{LineName, Version},
};

const DIR_MODE: Mode = Mode::from_raw_mode(0o750);
const PRIVATE_DIR_MODE: Mode = Mode::from_raw_mode(0o700);
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
const INCOMING: &str = ".incoming-";
/// Room that is kept free beside what a version itself needs: the database and the logs write too.
const SPARE_BYTES: u64 = 8 << 20;

/// The directory `models/<line>`, opened once; everything below is reached from that descriptor, one plain name at a
/// time, without following a symbolic link.
#[derive(Debug)]
pub struct LineDir {
    dir: OwnedFd,
    path: PathBuf,
    line: LineName,
}

/// The two links of a line: views of the database for people and other programs; aifx never reads through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// To the version that answers.
    Production,
    /// To what the last move replaced.
    Previous,
}

impl Link {
    /// Its file name.
    pub fn name(self) -> &'static str {
        match self {
            Link::Production => "production",
            Link::Previous => "previous",
        }
    }
}

/// What stands where a link should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Nothing.
    Absent,
    /// A link to a version beside it, which may or may not exist.
    To(Version),
    /// A link that leaves the directory: somebody else's doing.
    Outside(String),
    /// A link to itself, a file, a directory.
    Odd(String),
}

/// Files that lie complete and synced under a name that nobody serves.
#[derive(Debug)]
#[must_use = "staged files become a version by `seal`"]
pub struct Staged {
    run_id: Uuid,
    manifest_sha256: String,
}

/// A version that lies complete and synced under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// SHA-256 of `SHA256SUMS`: what the row remembers of the files.
    pub manifest_sha256: String,
}

/// What a line's directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Directories named like a version, oldest first.
    pub versions: Vec<Version>,
    /// Runs that left a directory half filled, with its last change (seconds since 1970).
    pub incoming: Vec<(Uuid, i64)>,
    /// Names that mean nothing here.
    pub strays: Vec<String>,
}

/// All that is known about a version's files after reading each once.
#[derive(Debug)]
pub struct Inspection {
    /// The files, whatever is wrong with them.
    pub files: VersionFiles,
    /// SHA-256 of `SHA256SUMS`, if there is one.
    pub manifest_sha256: Option<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A version whose every byte is what was published.
#[derive(Debug)]
pub struct Verified {
    /// The files.
    pub files: VersionFiles,
    /// The head of its `metadata.json`.
    pub metadata: Metadata,
    /// SHA-256 of `SHA256SUMS`.
    pub manifest_sha256: String,
}

impl LineDir {
    /// The directory of a line below `models`, if it exists.
    ///
    /// # Errors
    /// Exit 9 when it cannot be opened, 7 when a symbolic link or a file stands in its place.
    pub fn open(models: &Path, line: &LineName) -> anyhow::Result<Option<LineDir>> {
        let path = models.join(line.as_str());
        let Some(root) = open_root(models)? else { return Ok(None) };
        match open_dir(root.as_fd(), line.as_str()) {
            Ok(dir) => Ok(Some(LineDir { dir, path, line: line.clone() })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(disk(errno, &path)),
        }
    }

    /// The directory of a line below `models`; both are made when missing, with mode 0750.
    ///
    /// # Errors
    /// As [`LineDir::open`].
    pub fn create(models: &Path, line: &LineName) -> anyhow::Result<LineDir> {
        if let Some(dir) = LineDir::open(models, line)? {
            return Ok(dir);
        }
        let path = models.join(line.as_str());
        make_root(models)?;
        let root = open_root(models)?
            .ok_or_else(|| Fault::resource(format!("{} vanished", models.display())))?;
        match retry_on_intr(|| fs::mkdirat(&root, line.as_str(), DIR_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(disk(errno, &path)),
        }
        let dir = open_dir(root.as_fd(), line.as_str()).map_err(|errno| disk(errno, &path))?;
        // The umask of a cron job or a container is not what decides who reads a model.
        fs::fchmod(&dir, DIR_MODE).map_err(|errno| disk(errno, &path))?;
        sync(root.as_fd()).map_err(|errno| disk(errno, models))?;
        Ok(LineDir { dir, path, line: line.clone() })
    }

    /// The line.
    pub fn line(&self) -> &LineName {
        &self.line
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a version is, for messages.
    pub fn version_path(&self, version: &Version) -> PathBuf {
        self.path.join(version.to_string())
    }

    /// Opens a plain file of the line itself, such as its lock, for reading and writing; it is made when missing.
    ///
    /// # Errors
    /// Exit 9 when it cannot be opened, 7 when a symbolic link stands in its place.
    pub fn open_own_file(&self, name: &str) -> anyhow::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        open_at(self.dir.as_fd(), name, flags, FILE_MODE)
            .map(File::from)
            .map_err(|errno| disk(errno, &self.path.join(name)))
    }

    /// Finds out before hours of training whether a version can be written at all: permission, a file system that
    /// takes writes, and room for `needed_bytes`.
    ///
    /// # Errors
    /// Exit 9 naming the path, what is needed and what is free.
    pub fn preflight(&self, needed_bytes: u64) -> anyhow::Result<()> {
        let name = ".preflight";
        let tried = (|| {
            let mut file = self.open_own_file(name).context("a file cannot be made in it")?;
            file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).map_err(|error| {
                disk_io(&error, &self.path.join(name)).context("a file in it takes no bytes")
            })
        })();
        let removed = retry_on_intr(|| fs::unlinkat(&self.dir, name, AtFlags::empty()));
        tried.with_context(|| format!("cannot write to {}", self.path.display()))?;
        removed.map_err(|errno| disk(errno, &self.path.join(name)))?;
        let free_bytes = free_bytes(&self.path)?;
        let needed_bytes = needed_bytes + SPARE_BYTES;
        if free_bytes < needed_bytes {
            return Err(Fault::resource(format!(
                "no space left in {}: a version needs about {}, {} are free",
                self.path.display(),
                mebibytes(needed_bytes),
                mebibytes(free_bytes),
            ))
            .hint("free some space there; `aifx models list` shows what is kept")
            .into());
        }
        Ok(())
    }

    /// Writes files to `.incoming-<run_id>/`, each synced, `SHA256SUMS` last, then the directory. What an earlier try
    /// of the same run left there is replaced; after an error nothing is left.
    ///
    /// # Errors
    /// Exit 9 with the path and what the system said.
    pub fn stage(&self, run_id: Uuid, files: &VersionFiles) -> anyhow::Result<Staged> {
        self.discard(run_id)?;
        let result = self.write_incoming(run_id, files);
        if result.is_err() {
            // The write error is what matters; a leftover is found by the next run.
            let _ = self.discard(run_id);
        }
        result.with_context(|| {
            format!("cannot write the version's files ({} in all)", mebibytes(files.size_bytes()))
        })
    }

    fn write_incoming(&self, run_id: Uuid, files: &VersionFiles) -> anyhow::Result<Staged> {
        let name = incoming_name(run_id);
        let path = self.path.join(&name);
        retry_on_intr(|| fs::mkdirat(&self.dir, &name, PRIVATE_DIR_MODE))
            .map_err(|errno| disk(errno, &path))?;
        let dir = open_dir(self.dir.as_fd(), &name).map_err(|errno| disk(errno, &path))?;
        let mut folders = BTreeMap::new();
        for (file, bytes) in files.iter() {
            let written = (|| {
                let (folder, leaf) = make_folders(&dir, file, &mut folders)?;
                let folder = folder.as_fd();
                // Where links fail (another file system, a file that is gone or damaged), the bytes are here.
                let is_linked = files.same_as.get(file).is_some_and(|(version, theirs)| {
                    let theirs = format!("{version}/{theirs}");
                    let is_same = read_file(self.dir.as_fd(), &theirs)
                        .is_ok_and(|found| found.is_ok_and(|found| found == bytes));
                    is_same && self.link_from(&theirs, folder, leaf).is_ok()
                });
                if is_linked { Ok(()) } else { write_file(folder, leaf, bytes) }
            })();
            written.map_err(|error| disk_io(&error, &path.join(file)))?;
        }
        for (name, folder) in &folders {
            sync(folder.as_fd()).map_err(|errno| disk(errno, &path.join(name)))?;
        }
        let sums = files.sums();
        write_file(dir.as_fd(), SUMS, sums.as_bytes())
            .map_err(|error| disk_io(&error, &path.join(SUMS)))?;
        sync(dir.as_fd()).map_err(|errno| disk(errno, &path))?;
        Ok(Staged { run_id, manifest_sha256: sha256_hex(sums.as_bytes()) })
    }

    fn link_from(&self, theirs: &str, folder: BorrowedFd<'_>, leaf: &str) -> Result<(), Errno> {
        let (from, name) = open_folder_of(self.dir.as_fd(), theirs)?;
        let from = from.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
        retry_on_intr(|| fs::linkat(from, name, folder, leaf, AtFlags::empty()))
    }

    /// Gives staged files their version's name: the point after which they are immutable.
    ///
    /// # Errors
    /// Exit 7 when that name is taken (nothing is overwritten), 9 for disk trouble.
    pub fn seal(&self, staged: Staged, version: &Version) -> anyhow::Result<Sealed> {
        let incoming = incoming_name(staged.run_id);
        let path = self.version_path(version);
        let dir = open_dir(self.dir.as_fd(), &incoming)
            .map_err(|errno| disk(errno, &self.path.join(&incoming)))?;
        fs::fchmod(&dir, DIR_MODE).map_err(|errno| disk(errno, &path))?;
        sync(dir.as_fd()).map_err(|errno| disk(errno, &path))?;
        retry_on_intr(|| {
            fs::renameat_with(
                &self.dir,
                incoming.as_str(),
                &self.dir,
                version.to_string(),
                RenameFlags::NOREPLACE,
            )
        })
        .map_err(|errno| match errno {
            Errno::EXIST | Errno::NOTEMPTY => Fault::integrity(format!(
                "{} exists already and is not overwritten",
                path.display()
            ))
            .hint("run the command again: it takes the next free version")
            .into(),
            errno => disk(errno, &path),
        })?;
        sync(self.dir.as_fd()).map_err(|errno| disk(errno, &self.path))?;
        Ok(Sealed { manifest_sha256: staged.manifest_sha256 })
    }

    /// Takes a version's name away: its files lie where its run staged them, and [`LineDir::discard`] of that run, or the
    /// next recovery, removes them. A version that is not there is fine.
    ///
    /// # Errors
    /// Exit 9 for disk trouble.
    pub fn unseal(&self, version: &Version, run_id: Uuid) -> anyhow::Result<()> {
        self.discard(run_id)?;
        let path = self.version_path(version);
        let incoming = incoming_name(run_id);
        let flags = RenameFlags::NOREPLACE;
        let (from, to) = (version.to_string(), incoming.as_str());
        match retry_on_intr(|| fs::renameat_with(&self.dir, &from, &self.dir, to, flags)) {
            Ok(()) => sync(self.dir.as_fd()).map_err(|errno| disk(errno, &self.path)),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(disk(errno, &path)),
        }
    }

    /// Removes what a run staged; nothing there is fine.
    ///
    /// # Errors
    /// Exit 9 when it cannot be removed.
    pub fn discard(&self, run_id: Uuid) -> anyhow::Result<()> {
        let path = self.path.join(incoming_name(run_id));
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(disk_io(&error, &path))
            }
            _ => Ok(()),
        }
    }

    /// What lies in the directory; links and the line's own files are no strays.
    ///
    /// # Errors
    /// Exit 9 when it cannot be read.
    pub fn entries(&self) -> anyhow::Result<Entries> {
        let mut entries = Entries::default();
        for name in names_in(self.dir.as_fd()).map_err(|errno| disk(errno, &self.path))? {
            if [Link::Production.name(), Link::Previous.name(), ".lock", ".preflight"]
                .contains(&name.as_str())
            {
                continue;
            }
            let stat = match fs::statat(&self.dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone since it was listed: another run tidied up.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(disk(errno, &self.path.join(&name))),
            };
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let run_id = name.strip_prefix(INCOMING).and_then(|id| id.parse::<Uuid>().ok());
            match (name.parse::<Version>(), run_id) {
                (Ok(version), _) if is_dir => entries.versions.push(version),
                (_, Some(run_id)) if is_dir => {
                    entries.incoming.push((run_id, stat.st_mtime));
                }
                _ => entries.strays.push(name),
            }
        }
        entries.versions.sort_unstable();
        entries.strays.sort_unstable();
        Ok(entries)
    }

    /// Reads every file of a version once, compares it with its checksum, and says all that is wrong. Nothing is
    /// parsed but `SHA256SUMS`.
    ///
    /// # Errors
    /// Exit 9 when the disk does not answer. A missing directory is a problem, not an error.
    pub fn inspect(&self, version: &Version) -> anyhow::Result<Inspection> {
        let mut inspection =
            Inspection { files: VersionFiles::new(), manifest_sha256: None, problems: Vec::new() };
        let path = self.version_path(version);
        let dir = match open_dir(self.dir.as_fd(), &version.to_string()) {
            Ok(dir) => dir,
            Err(errno) if is_misplaced(errno) || errno == Errno::NOENT => {
                let what = match errno {
                    Errno::NOENT => "the directory is missing",
                    _ => "a file or symbolic link stands in place of the directory",
                };
                inspection.problems.push(Problem::of(version, what));
                return Ok(inspection);
            }
            Err(errno) => return Err(disk(errno, &path)),
        };
        let sums = match read_file(dir.as_fd(), SUMS).map_err(|e| disk_io(&e, &path.join(SUMS)))? {
            Ok(bytes) => bytes,
            Err(what) => {
                inspection.problems.push(Problem::file(version, SUMS, what));
                return Ok(inspection);
            }
        };
        inspection.manifest_sha256 = Some(sha256_hex(&sums));
        let listed = match parse_sums(&sums) {
            Ok(listed) => listed,
            Err(what) => {
                inspection.problems.push(Problem::file(version, SUMS, what));
                return Ok(inspection);
            }
        };
        for (name, expected) in &listed {
            let read = read_file(dir.as_fd(), name).map_err(|e| disk_io(&e, &path.join(name)))?;
            match read {
                Ok(bytes) => {
                    let found = sha256_hex(&bytes);
                    if found != *expected {
                        let what = format!("checksum differs ({} bytes)", bytes.len());
                        inspection
                            .problems
                            .push(Problem::mismatch(version, name, what, expected, &found));
                    }
                    inspection.files.files.insert(name.clone(), bytes);
                }
                Err(what) => inspection.problems.push(Problem::file(version, name, what)),
            }
        }
        let is_listed = |name: &str| listed.iter().any(|(listed, _)| listed == name);
        for name in paths_in(dir.as_fd(), MEMBERS).map_err(|errno| disk(errno, &path))? {
            if name != SUMS && !is_listed(&name) {
                let stray = Problem::file(version, name, "is not part of the version");
                inspection.problems.push(stray.harmless());
            }
        }
        Ok(inspection)
    }

    /// A version's files, after every checksum held and `metadata.json` says that they are this version's.
    ///
    /// # Errors
    /// Exit 7 naming the first file that is not what was published; nothing of it has been parsed then.
    pub fn open_version(&self, version: &Version) -> anyhow::Result<Verified> {
        let inspection = self.inspect(version)?;
        let mut problems = inspection.problems.into_iter().filter(|problem| !problem.harmless);
        if let Some(first) = problems.next() {
            let more = match problems.count() {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            return Err(Fault::integrity(format!("{}/{first}{more}", self.line))
                .hint(format!("`aifx models verify {version}` lists all; another version works"))
                .into());
        }
        let metadata = Metadata::from_bytes(inspection.files.require(METADATA)?)
            .with_context(|| format!("cannot read {}/{version}", self.line))?;
        if metadata.version != *version || metadata.line != self.line {
            return Err(Fault::integrity(format!(
                "{} holds the files of {} {}",
                self.version_path(version).display(),
                metadata.line,
                metadata.version,
            ))
            .hint("a directory was copied or renamed by hand; remove it")
            .into());
        }
        let manifest_sha256 =
            inspection.manifest_sha256.expect("an inspection without problems has read SHA256SUMS");
        Ok(Verified { files: inspection.files, metadata, manifest_sha256 })
    }

    /// What stands where a link should be.
    ///
    /// # Errors
    /// Exit 9 when the disk does not answer.
    pub fn link(&self, link: Link) -> anyhow::Result<LinkState> {
        let target = match retry_on_intr(|| fs::readlinkat(&self.dir, link.name(), Vec::new())) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(LinkState::Absent),
            Err(Errno::INVAL) => return Ok(LinkState::Odd("is no symbolic link".into())),
            Err(errno) => return Err(disk(errno, &self.path.join(link.name()))),
        };
        let target = target.to_string_lossy().into_owned();
        Ok(match target.parse::<Version>() {
            Ok(version) => LinkState::To(version),
            Err(_) if target.contains('/') || target == ".." => LinkState::Outside(target),
            Err(_) => LinkState::Odd(format!("points to {target:?}, which is no version")),
        })
    }

    /// Points a link at a version, or takes it away: a temporary link renamed over it, then the directory synced. A
    /// directory that somebody put in its place is moved aside, never removed.
    ///
    /// # Errors
    /// Exit 9 for disk trouble.
    pub fn point(&self, link: Link, version: Option<&Version>) -> anyhow::Result<()> {
        let path = self.path.join(link.name());
        let fail = |errno| disk(errno, &path);
        match version {
            Some(version) => {
                let temporary = format!(".{}.tmp", link.name());
                match retry_on_intr(|| fs::unlinkat(&self.dir, &temporary, AtFlags::empty())) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(fail(errno)),
                }
                retry_on_intr(|| fs::symlinkat(version.to_string(), &self.dir, &temporary))
                    .map_err(fail)?;
                let rename = || {
                    retry_on_intr(|| {
                        fs::renameat(&self.dir, temporary.as_str(), &self.dir, link.name())
                    })
                };
                match rename() {
                    Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                        self.move_aside(link)?;
                        rename().map_err(fail)?;
                    }
                    done => done.map_err(fail)?,
                }
            }
            None => {
                match retry_on_intr(|| fs::unlinkat(&self.dir, link.name(), AtFlags::empty())) {
                    Ok(()) => {}
                    Err(Errno::NOENT) => return Ok(()),
                    Err(Errno::ISDIR | Errno::PERM) => self.move_aside(link)?,
                    Err(errno) => return Err(fail(errno)),
                }
            }
        }
        sync(self.dir.as_fd()).map_err(fail)
    }

    fn move_aside(&self, link: Link) -> anyhow::Result<()> {
        let aside = format!("{}-moved-aside-{}", link.name(), Uuid::now_v7().simple());
        retry_on_intr(|| {
            fs::renameat_with(
                &self.dir,
                link.name(),
                &self.dir,
                aside.as_str(),
                RenameFlags::NOREPLACE,
            )
        })
        .map_err(|errno| disk(errno, &self.path.join(link.name())))
    }

    /// Directories and files of the line that anybody on the machine may write to.
    ///
    /// # Errors
    /// Exit 9 when the disk does not answer.
    pub fn world_writable(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut look = |dir: BorrowedFd<'_>, path: &Path| -> anyhow::Result<()> {
            let stat = fs::fstat(dir).map_err(|errno| disk(errno, path))?;
            if stat.st_mode & 0o002 != 0 {
                found.push(path.to_owned());
            }
            for name in names_in(dir).map_err(|errno| disk(errno, path))? {
                let stat = fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW);
                let regular = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
                if stat.is_ok_and(|stat| regular(stat.st_mode) && stat.st_mode & 0o002 != 0) {
                    found.push(path.join(name));
                }
            }
            Ok(())
        };
        look(self.dir.as_fd(), &self.path)?;
        for version in self.entries()?.versions {
            if let Ok(dir) = open_dir(self.dir.as_fd(), &version.to_string()) {
                look(dir.as_fd(), &self.version_path(&version))?;
            }
        }
        Ok(found)
    }
}

/// The lines that have a directory below `models`; names that are no line's are left out.
///
/// # Errors
/// Exit 9 when it cannot be read, 7 when it is a symbolic link or a file.
pub fn lines_in(models: &Path) -> anyhow::Result<Vec<LineName>> {
    let Some(root) = open_root(models)? else { return Ok(Vec::new()) };
    let names = names_in(root.as_fd()).map_err(|errno| disk(errno, models))?;
    let mut lines: Vec<LineName> = names
        .into_iter()
        .filter(|name| {
            fs::statat(&root, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        })
        .filter_map(|name| name.parse().ok())
        .collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Bytes that are free for an unprivileged writer on the file system of `path`.
///
/// # Errors
/// Exit 9 when the file system does not say.
pub fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    let space = retry_on_intr(|| fs::statvfs(path)).map_err(|errno| disk(errno, path))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn incoming_name(run_id: Uuid) -> String {
    format!("{INCOMING}{run_id}")
}

/// Opens the models directory itself. Its parents may be links (homes often are); it may not.
fn open_root(models: &Path) -> anyhow::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match retry_on_intr(|| fs::open(models, flags, Mode::empty())) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(disk(errno, models)),
    }
}

fn make_root(models: &Path) -> anyhow::Result<()> {
    match retry_on_intr(|| fs::mkdir(models, DIR_MODE)) {
        Ok(()) => {
            // The umask of a cron job or a container is not what decides who reads a model.
            fs::chmod(models, DIR_MODE).map_err(|errno| disk(errno, models))?;
            let parent = models.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|error| disk_io(&error, parent))
        }
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(disk(errno, models)),
    }
}

/// Opens one plain name below `dir` without following links. Kernels and sandboxes without `openat2` get `openat`,
/// which for a single name gives the same promise.
fn open_at(dir: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match retry_on_intr(|| fs::openat2(dir, name, flags, mode, resolve)) {
        Err(Errno::NOSYS | Errno::PERM) => retry_on_intr(|| fs::openat(dir, name, flags, mode)),
        opened => opened,
    }
}

fn open_dir(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    open_at(dir, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

fn sync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    retry_on_intr(|| fs::fsync(fd))
}

fn write_file(dir: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let fd = open_at(dir, name, flags, FILE_MODE)?;
    fs::fchmod(&fd, FILE_MODE)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.sync_all()
}

/// The bytes of a plain file; the inner error says why it is none.
fn read_file(dir: BorrowedFd<'_>, name: &str) -> std::io::Result<Result<Vec<u8>, String>> {
    let opened = open_folder_of(dir, name).and_then(|(folder, leaf)| {
        let folder = folder.as_ref().map_or(dir, OwnedFd::as_fd);
        open_at(folder, leaf, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())
    });
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Err("is missing".into())),
        Err(errno) if is_misplaced(errno) => return Ok(Err("is a symbolic link".into())),
        Err(errno) => return Err(errno.into()),
    };
    let stat = fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Err("is not a plain file".into()));
    }
    let size_bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size_bytes > MAX_FILE_BYTES {
        return Ok(Err(format!("is larger than {}", mebibytes(MAX_FILE_BYTES))));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
    File::from(fd).take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

/// The folder that holds a file of a path, `None` for `dir` itself, and the file's own name.
fn open_folder_of<'a>(
    dir: BorrowedFd<'_>,
    path: &'a str,
) -> Result<(Option<OwnedFd>, &'a str), Errno> {
    let mut folder: Option<OwnedFd> = None;
    let mut rest = path;
    while let Some((name, after)) = rest.split_once('/') {
        let parent = folder.as_ref().map_or(dir, OwnedFd::as_fd);
        folder = Some(open_dir(parent, name)?);
        rest = after;
    }
    Ok((folder, rest))
}

/// The folder in which a file of a path belongs, made where it is missing, and the file's own name.
fn make_folders<'a, 'b>(
    dir: &'b OwnedFd,
    path: &'a str,
    made: &'b mut BTreeMap<String, OwnedFd>,
) -> std::io::Result<(&'b OwnedFd, &'a str)> {
    for (end, _) in path.match_indices('/') {
        let (folder, above) = (&path[..end], path[..end].rsplit_once('/'));
        if made.contains_key(folder) {
            continue;
        }
        let parent = above.and_then(|(above, _)| made.get(above)).unwrap_or(dir);
        let name = above.map_or(folder, |(_, name)| name);
        retry_on_intr(|| fs::mkdirat(parent, name, DIR_MODE))?;
        let fd = open_dir(parent.as_fd(), name)?;
        fs::fchmod(&fd, DIR_MODE)?;
        made.insert(folder.to_owned(), fd);
    }
    let (folder, leaf) = path.rsplit_once('/').map_or((None, path), |(a, b)| (Some(a), b));
    Ok((folder.and_then(|folder| made.get(folder)).unwrap_or(dir), leaf))
}

/// Names of files in a folder; those below its folder `nested` by their paths.
fn paths_in(dir: BorrowedFd<'_>, nested: &str) -> Result<Vec<String>, Errno> {
    let mut paths = Vec::new();
    for name in names_in(dir)? {
        let opened = (name == nested).then(|| open_dir(dir, &name));
        let Some(Ok(members)) = opened else {
            paths.push(name);
            continue;
        };
        for member in names_in(members.as_fd())? {
            match open_dir(members.as_fd(), &member) {
                Ok(folder) => {
                    let files = names_in(folder.as_fd())?.into_iter();
                    paths.extend(files.map(|file| format!("{name}/{member}/{file}")));
                }
                Err(_) => paths.push(format!("{name}/{member}")),
            }
        }
    }
    Ok(paths)
}

fn names_in(dir: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn parse_sums(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("ends in the middle of a line".into());
    }
    let mut listed: Vec<(String, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (sum, name) =
            line.split_once("  ").ok_or_else(|| format!("line {} is damaged", number + 1))?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if sum.len() != 64 || !sum.bytes().all(hex) || !is_path(name) {
            return Err(format!("line {} is damaged", number + 1));
        }
        if listed.iter().any(|(listed, _)| listed == name) {
            return Err(format!("lists {name} twice"));
        }
        listed.push((name.to_owned(), sum.to_owned()));
    }
    if listed.is_empty() { Err("is empty".into()) } else { Ok(listed) }
}

/// What the kernel says when a link, a file or another place stands where a directory or file of ours should be.
fn is_misplaced(errno: Errno) -> bool {
    matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::XDEV)
}

fn disk(errno: Errno, path: &Path) -> anyhow::Error {
    if is_misplaced(errno) {
        return Fault::integrity(format!(
            "{} is a symbolic link or a file where a directory of its own should be",
            path.display()
        ))
        .hint("move it away; aifx makes its own directories")
        .into();
    }
    disk_io(&errno.into(), path)
}

fn disk_io(error: &std::io::Error, path: &Path) -> anyhow::Error {
    use std::io::ErrorKind;
    let fault = Fault::resource(format!("{}: {error}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => fault.hint("free some space there"),
        ErrorKind::PermissionDenied => {
            fault.hint("directories need mode 0750 and the user who runs aifx as owner")
        }
        ErrorKind::ReadOnlyFilesystem => fault.hint("remount it for writing"),
        _ => fault,
    }
    .into()
}

fn mebibytes(bytes: u64) -> String {
    // Display only: 53 bits are plenty.
    #[allow(clippy::cast_precision_loss, reason = "a size for people")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::{
        artifact::{HISTORY, MODEL, SCHEMA, member_path},
        fault::{Exit, find},
    };

    const RUN: Uuid = Uuid::from_u128(7);

    struct Home {
        models: PathBuf,
        _temporary: tempfile::TempDir,
    }

    fn home() -> Home {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        Home { models: temporary.path().join("models"), _temporary: temporary }
    }

    fn line() -> LineName {
        "fx-direction".parse().expect("a line")
    }

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    fn files(of: &str) -> VersionFiles {
        let metadata = Metadata {
            schema: SCHEMA,
            aifx: "0.1.0".into(),
            line: line(),
            version: version(of),
            parent: None,
            run_id: RUN,
            created_at: chrono::DateTime::UNIX_EPOCH,
            seen_until: chrono::DateTime::UNIX_EPOCH,
            rest: serde_json::Map::new(),
        };
        let mut files = VersionFiles::new();
        files.insert(METADATA, metadata.to_bytes()).expect("a name");
        files.insert(MODEL, (0..=255).collect::<Vec<u8>>()).expect("a name");
        files.insert(HISTORY, "epoch,loss\n1,0.69\n").expect("a name");
        files
    }

    fn publish(dir: &LineDir, of: &str) -> Sealed {
        let staged = dir.stage(RUN, &files(of)).expect("staged");
        dir.seal(staged, &version(of)).expect("sealed")
    }

    fn exit(error: &anyhow::Error) -> Option<Exit> {
        find(error).map(Fault::exit)
    }

    #[test]
    fn what_was_published_is_read_back_with_its_modes() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        let sealed = publish(&dir, "v1.0");
        let verified = dir.open_version(&version("v1.0")).expect("verified");
        assert_eq!(verified.files, files("v1.0"));
        assert_eq!(verified.manifest_sha256, sealed.manifest_sha256);
        let mode = |path: &Path| path.metadata().expect("it is there").mode() & 0o7777;
        let path = dir.version_path(&version("v1.0"));
        assert_eq!((mode(&path), mode(&path.join(MODEL)), mode(dir.path())), (0o750, 0o640, 0o750));
        assert_eq!(dir.entries().expect("read").versions, [version("v1.0")]);
    }

    #[test]
    fn a_taken_name_is_not_overwritten_and_the_staged_files_stay() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        let staged = dir.stage(RUN, &files("v1.0")).expect("staged");
        let error = dir.seal(staged, &version("v1.0")).expect_err("taken");
        assert_eq!(exit(&error), Some(Exit::Integrity));
        assert_eq!(dir.entries().expect("read").incoming.len(), 1);
        dir.open_version(&version("v1.0")).expect("untouched");
    }

    /// Each kind of damage to each file is found before parsing, and named.
    #[test]
    fn every_damage_to_every_file_is_named() {
        type Damage = fn(&mut Vec<u8>);
        let damages: [(&str, Damage); 5] = [
            ("first bit", |bytes| bytes[0] ^= 1),
            ("last bit", |bytes| *bytes.last_mut().expect("not empty") ^= 0x80),
            ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
            ("empty", |bytes| bytes.clear()),
            ("doubled", |bytes| bytes.extend(bytes.clone())),
        ];
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        for name in [METADATA, MODEL, HISTORY, SUMS] {
            let path = dir.version_path(&version("v1.0")).join(name);
            let whole = std::fs::read(&path).expect("published");
            for (kind, damage) in damages {
                let mut bytes = whole.clone();
                damage(&mut bytes);
                write(&path, &bytes);
                let error = dir.open_version(&version("v1.0")).expect_err(kind);
                assert_eq!(exit(&error), Some(Exit::Integrity), "{name} {kind}: {error:#}");
                let problems = dir.inspect(&version("v1.0")).expect("read").problems;
                let problem = problems.first().expect(kind);
                if name == SUMS {
                    // A damaged list may accuse the file whose line was hit; that there is damage is what counts.
                    assert!(problem.file.is_some(), "{kind}: {problem}");
                } else {
                    assert_eq!(problem.file.as_deref(), Some(name), "{kind}");
                    assert_ne!(problem.expected, problem.found, "{name} {kind}");
                    assert!(problem.expected.is_some(), "{name} {kind}");
                }
            }
            write(&path, &whole);
        }
        dir.open_version(&version("v1.0")).expect("whole again");
    }

    #[test]
    fn every_single_flipped_bit_is_found() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        for name in [METADATA, MODEL, SUMS] {
            let path = dir.version_path(&version("v1.0")).join(name);
            let whole = std::fs::read(&path).expect("published");
            for bit in (0..whole.len() * 8).step_by(17) {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                write(&path, &bytes);
                // What nobody can find in the list of checksums alone, the registered checksum of the list finds.
                let found = dir.open_version(&version("v1.0")).map(|v| v.manifest_sha256);
                let registered = sha256_hex(files("v1.0").sums().as_bytes());
                assert_ne!(found.ok(), Some(registered), "{name} bit {bit}");
            }
            write(&path, &whole);
        }
    }

    #[test]
    fn strays_are_reported_and_hurt_nobody() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        write(&dir.version_path(&version("v1.0")).join("notes.txt"), b"mine");
        write(&dir.path().join("v1.0.bak"), b"mine");
        dir.open_version(&version("v1.0")).expect("still good");
        let problems = dir.inspect(&version("v1.0")).expect("read").problems;
        assert_eq!(problems.len(), 1);
        assert!(problems[0].harmless && problems[0].file.as_deref() == Some("notes.txt"));
        assert_eq!(dir.entries().expect("read").strays, ["v1.0.bak"]);
    }

    #[test]
    fn links_in_place_of_files_and_directories_are_not_followed() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        symlink("v1.0", dir.version_path(&version("v1.1"))).expect("linked");
        let error = dir.open_version(&version("v1.1")).expect_err("a link");
        assert!(error.to_string().contains("symbolic link"), "{error}");
        let model = dir.version_path(&version("v1.0")).join(MODEL);
        let elsewhere = home.models.join("elsewhere");
        std::fs::rename(&model, &elsewhere).expect("moved");
        symlink(&elsewhere, &model).expect("linked");
        let error = dir.open_version(&version("v1.0")).expect_err("a link");
        assert!(error.to_string().contains("model.safetensors: is a symbolic link"), "{error}");
    }

    /// A version whose folder `members/v1.0` holds the weights of v1.0.
    fn mixture(of: &str) -> (VersionFiles, String) {
        let mut files = files(of);
        let weights = files.require(MODEL).expect("weights").to_vec();
        let path = member_path("v1.0".parse().expect("a member"), MODEL);
        files.insert_same(&path, weights, (version("v1.0"), MODEL)).expect("a name");
        (files, path)
    }

    #[test]
    fn a_member_is_a_hard_link_where_the_other_file_is_the_same_and_a_copy_where_not() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        let first = dir.version_path(&version("v1.0")).join(MODEL);
        let inode = |path: &Path| path.metadata().expect("it is there").ino();
        let member = |of: &str| {
            let (files, path) = mixture(of);
            let staged = dir.stage(RUN, &files).expect("staged");
            dir.seal(staged, &version(of)).expect("sealed");
            let read = dir.open_version(&version(of)).expect("whole in itself").files;
            assert!(read.iter().eq(files.iter()), "{of}");
            inode(&dir.version_path(&version(of)).join(path))
        };
        assert_eq!(member("v1.1"), inode(&first));
        // Damaged in place: the bytes that were read before go in, not the damage.
        std::fs::remove_file(&first).expect("removed");
        write(&first, b"damaged");
        assert_ne!(member("v1.2"), inode(&first));
        std::fs::remove_dir_all(dir.version_path(&version("v1.0"))).expect("removed");
        member("v1.3");
        dir.open_version(&version("v1.1")).expect("the link outlives the version it came from");
    }

    #[test]
    fn what_is_wrong_below_members_is_named_by_its_path() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        let (files, path) = mixture("v1.1");
        let staged = dir.stage(RUN, &files).expect("staged");
        dir.seal(staged, &version("v1.1")).expect("sealed");
        let at = dir.version_path(&version("v1.1"));
        let problems = || dir.inspect(&version("v1.1")).expect("read").problems;
        for stray in ["members/notes.txt", "members/v1.0/notes.txt"] {
            write(&at.join(stray), b"mine");
            let found = problems();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].harmless && found[0].file.as_deref() == Some(stray), "{found:?}");
            std::fs::remove_file(at.join(stray)).expect("removed");
        }
        let (file, folder) = (at.join(&path), at.join("members/v1.0"));
        let whole = std::fs::read(&file).expect("published");
        write(&file, &whole[1..]);
        let error = dir.open_version(&version("v1.1")).expect_err("damaged");
        assert_eq!(exit(&error), Some(Exit::Integrity));
        assert!(error.to_string().contains(&path), "{error}");
        write(&file, &whole);
        let elsewhere = home.models.join("elsewhere");
        std::fs::rename(&folder, &elsewhere).expect("moved");
        let error = dir.open_version(&version("v1.1")).expect_err("gone");
        assert!(error.to_string().contains("is missing"), "{error}");
        symlink(&elsewhere, &folder).expect("linked");
        let error = dir.open_version(&version("v1.1")).expect_err("a link");
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    }

    #[test]
    fn the_models_directory_may_be_neither_link_nor_file() {
        let home = home();
        write(&home.models, b"a file");
        let error = LineDir::create(&home.models, &line()).expect_err("a file");
        assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
        std::fs::remove_file(&home.models).expect("removed");
        let real = home.models.with_file_name("real");
        std::fs::create_dir(&real).expect("made");
        symlink(&real, &home.models).expect("linked");
        let error = LineDir::create(&home.models, &line()).expect_err("a link");
        assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
        assert_eq!(
            LineDir::open(&home.models.join("absent"), &line()).expect("fine").map(drop),
            None
        );
    }

    #[test]
    fn a_copied_directory_is_not_another_version() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        let staged = dir.stage(RUN, &files("v1.0")).expect("staged");
        dir.seal(staged, &version("v1.1")).expect("sealed under a wrong name");
        let error = dir.open_version(&version("v1.1")).expect_err("not its own");
        assert!(error.to_string().contains("holds the files of fx-direction v1.0"), "{error}");
    }

    #[test]
    fn links_are_replaced_whatever_stands_there() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        let path = dir.path().join("production");
        assert_eq!(dir.link(Link::Production).expect("read"), LinkState::Absent);
        let stand: [fn(&Path); 4] = [
            |path| symlink("v9.9", path).expect("dangling"),
            |path| symlink("production", path).expect("loop"),
            |path| write(path, b"a file"),
            |path| std::fs::create_dir_all(path.join("full")).expect("a directory"),
        ];
        for put in stand {
            put(&path);
            assert_ne!(dir.link(Link::Production).expect("read"), LinkState::To(version("v1.0")));
            dir.point(Link::Production, Some(&version("v1.0"))).expect("pointed");
            assert_eq!(dir.link(Link::Production).expect("read"), LinkState::To(version("v1.0")));
            dir.point(Link::Production, None).expect("taken away");
            assert_eq!(dir.link(Link::Production).expect("read"), LinkState::Absent);
        }
        symlink("../../etc", &path).expect("linked");
        let outside = LinkState::Outside("../../etc".into());
        assert_eq!(dir.link(Link::Production).expect("read"), outside);
    }

    #[test]
    fn preflight_names_what_is_needed_and_free() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        dir.preflight(1 << 20).expect("room for a model");
        let error = dir.preflight(1 << 60).expect_err("no such disk");
        assert_eq!(exit(&error), Some(Exit::Resource));
        assert!(error.to_string().contains("are free"), "{error}");
        assert_eq!(dir.entries().expect("read"), Entries::default());
    }

    #[test]
    fn what_everybody_may_write_to_is_found() {
        let home = home();
        let dir = LineDir::create(&home.models, &line()).expect("made");
        publish(&dir, "v1.0");
        assert_eq!(dir.world_writable().expect("read"), [] as [PathBuf; 0]);
        let model = dir.version_path(&version("v1.0")).join(MODEL);
        std::fs::set_permissions(&model, PermissionsExt::from_mode(0o666)).expect("changed");
        assert_eq!(dir.world_writable().expect("read"), [model]);
    }

    #[allow(clippy::disallowed_methods, reason = "a test plays the vandal")]
    fn write(path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).expect("written");
    }
}
